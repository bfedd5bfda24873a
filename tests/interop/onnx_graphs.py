# SPDX-License-Identifier: GPL-3.0-or-later
"""What `qloupe run` computes for ONNX files: all backend node tests of the onnx package for the operators it lists, and
MiniLM as torch exports it against transformers.

    python onnx_graphs.py QLOUPE MODELS

A node test passes within its own tolerance (float16 within 2e-3), or is refused by name where make_node_tests.py says
why. MiniLM, with both of transformers' attentions: hidden states of padded batches and normalized mean-pooled embeddings
within 1e-4. Needs onnx, torch and transformers; exports that need onnxscript are left out without it.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers

sys.path.append(str(pathlib.Path(__file__).parent.parent / "data" / "onnx_graphs"))
import make_node_tests  # noqa: E402

TEXTS = ["The capital of France is Paris.", "On the 4th of July, 1776, something happened in Philadelphia.", "東京 😀"]
INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


def run(qloupe, model, inputs, folder):
    """The outputs, or what the program said."""
    np.savez(folder / "in.npz", **inputs)
    done = subprocess.run([qloupe, "run", model, *(["--inputs", folder / "in.npz"] if inputs else []), "--npz",
                           folder / "out.npz", "--quiet"], capture_output=True, text=True)
    if done.returncode:
        return done.stderr.strip() or f"exit code {done.returncode}"
    with np.load(folder / "out.npz") as arrays:
        return dict(arrays)


def agrees(ours, expected):
    if ours.shape != expected.shape:
        return False
    tolerance = dict(rtol=2e-3, atol=2e-3) if expected.dtype == np.float16 else dict(rtol=1e-3, atol=1e-6)
    return np.allclose(ours.astype(np.float64), expected.astype(np.float64), equal_nan=True, **tolerance)


def node_tests(qloupe, folder):
    passed, refused, failed = 0, 0, 0
    for name, model, inputs, outputs in make_node_tests.node_tests(make_node_tests.operators(qloupe)):
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        made = run(qloupe, folder / "model.onnx", inputs, folder)
        if isinstance(made, dict) and all(agrees(made[key], value) for key, value in outputs.items()):
            passed += 1
        elif make_node_tests.reason(name):
            refused += 1
        else:
            failed += 1
            print("FAILED", name, made if isinstance(made, str) else "differs", flush=True)
    print(f"node tests: {passed} agree, {refused} are left out for a reason, {failed} failed", flush=True)
    return failed


class Encoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *inputs):
        return self.model(**dict(zip(INPUTS, inputs))).last_hidden_state


def export(model, path, batch, **options):
    arguments = tuple(batch[name] for name in INPUTS)
    torch.onnx.export(Encoder(model).eval(), arguments, path, input_names=INPUTS, output_names=["hidden"], **options)


def exports(folder, batch, model):
    """(name, path) of MiniLM as torch exports it."""
    axes = {name: {0: "batch", 1: "tokens"} for name in (*INPUTS, "hidden")}
    for attention in ("eager", "sdpa"):
        model.set_attn_implementation(attention)
        path = folder / f"minilm-{attention}.onnx"
        export(model, path, batch, dynamic_axes=axes, opset_version=18, dynamo=False)
        yield attention, path
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        return
    path = folder / "minilm-dynamo.onnx"
    dynamic = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    export(model, path, batch, dynamic_shapes=((dynamic,) * 3,), opset_version=18, dynamo=True)
    yield "dynamo", path


def minilm(qloupe, models, folder):
    source = models / "minilm-l6-v2"
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    model = transformers.AutoModel.from_pretrained(source, dtype=torch.float32).eval()
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
    with torch.no_grad():
        expected = model(**batch).last_hidden_state.numpy()
    mask = batch["attention_mask"].numpy()[..., None]
    failed = 0
    for name, path in exports(folder, tokenizer(TEXTS[:2], return_tensors="pt", padding=True), model):
        made = run(qloupe, path, {key: batch[key].numpy() for key in INPUTS}, folder)
        if isinstance(made, str):
            print("FAILED", name, made)
            failed += 1
            continue
        embeddings = [(x * mask).sum(1) / np.linalg.norm((x * mask).sum(1), axis=1, keepdims=True)
                      for x in (expected, made["hidden"])]
        worst = [np.abs((made["hidden"] - expected) * mask).max(), np.abs(embeddings[0] - embeddings[1]).max()]
        failed += max(worst) > 1e-4
        print(f"minilm {name}: hidden states {worst[0]:.3g}, embeddings {worst[1]:.3g} (limit 1e-4)", flush=True)
    return failed


def main(qloupe, models):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        failed = node_tests(qloupe, folder) + minilm(qloupe, pathlib.Path(models), folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
