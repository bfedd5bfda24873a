# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports variants of a model with qloupe and has transformers read the files: the logits of what it reads must be those
that qloupe predicts for the plan, told by their Kullback-Leibler divergence from the unquantized model on the same tokens.

    python transformed_exports.py QLOUPE MODEL TEXT [TRANSFORM ...]

MODEL is an unquantized Llama-family folder. TRANSFORM is a text for --transform, or none; default: a list of them. Both
targets are written, int4:g64 as compressed-tensors and Q4_0 as GGUF, and verified. The exit code is 0 if all agree.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

CONTEXT, WINDOWS = 128, 4
TRANSFORMS = ["none", "smooth", "hadamard", "hadamard:heads", "awq:scheme=int4:g64", "equalize", "permute"]
TARGETS = {"compressed-tensors": ("int4:g64", "folder"), "gguf": ("gguf:q4_0", "file.gguf")}


def qloupe(program, *arguments):
    result = subprocess.run([program, "--json", "--quiet", *map(str, arguments)], capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, arguments))}\n{result.stderr}{result.stdout[-2000:]}")
    return json.loads(result.stdout)


def log_probabilities(model, windows):
    with torch.no_grad():
        return torch.log_softmax(model(windows).logits[:, :-1].double(), dim=-1)


def load(path, target):
    if target == "gguf":
        return AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(path, dtype="auto")
    model.hf_quantizer.compressor.decompress_model(model)
    return torch.nn.Module.float(model)  # its own float() refuses, although nothing is quantized any more


def main(program, folder, text, *transforms):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(pathlib.Path(text).read_text(), add_special_tokens=False)["input_ids"][: CONTEXT * WINDOWS]
    windows = torch.tensor(ids).reshape(WINDOWS, CONTEXT)
    reference = log_probabilities(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), windows)
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        out = pathlib.Path(name)
        numpy.save(out / "ids.npy", numpy.array(ids, dtype=numpy.int64))
        study = out / "study.qloupe"
        qloupe(program, "calibrate", folder, "--out", study, "--tokens", out / "ids.npy", "--context", CONTEXT)
        for transform in transforms or TRANSFORMS:
            option = [] if transform == "none" else ["--transform", transform]
            for target, (scheme, file) in TARGETS.items():
                started = time.time()
                plan, path = out / "plan.json", out / transform.replace(":", "_") / file
                path.parent.mkdir(exist_ok=True)
                known = ["--activations", study]
                qloupe(program, "solve", folder, "--candidates", scheme, "--bpw", 16, "--target", target, "--out", plan,
                       *option, *known)
                qloupe(program, "export", folder, "--plan", plan, "--out", path, *known)
                assert qloupe(program, "verify", path, "--against", folder, *known)["ok"]
                predicted = qloupe(program, "validate", folder, "--plan", plan, "--tokens", out / "ids.npy", "--context",
                                   CONTEXT, "--score-all", *known)["other"]["kld"]["value"]
                read = log_probabilities(load(path, target), windows)
                found = float((reference.exp() * (reference - read)).sum(-1).mean())
                wrong = not abs(found - predicted) <= 1e-6 + 2e-3 * predicted
                failed += wrong
                print(f"{transform:32} {target:20} KLD predicted {predicted:.6f}, of what transformers reads {found:.6f}"
                      f"{' WRONG' if wrong else ''}, {time.time() - started:.1f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
