# SPDX-License-Identifier: GPL-3.0-or-later
"""Searches of GGUF types beside llama-quantize's: weighted error, error without importance, and time, on the same weights.

    python gguf_searches.py QLOUPE LLAMA_QUANTIZE MODELS [BLOCKS] [TYPE…]

MODELS holds smollm2-135m-f16.gguf. Its first BLOCKS (4) blocks are folded into rows of 768, which every type can hold; nothing is run,
so the model need not make sense. The importance is smooth with a few large columns, the same for both. Needs gguf and numpy. Both
programs get two threads and write the same tensors; times are whole runs, with reading and writing. A type's row says
our error / llama's with importance, without, and llama's time / ours. Every file is read by the gguf package.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import gguf
import numpy as np

TYPES = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs", "mxfp4", "tq1_0", "tq2_0",
         "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s"]
NAMES = {"q2_k": "Q2_K", "q3_k": "Q3_K", "q4_k": "Q4_K", "q5_k": "Q5_K", "iq2_s": "IQ2_M"}
NEEDS_IMPORTANCE = {"iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs"}
ROW = 768


def is_quantized(tensor):
    return tensor.name.startswith("blk.") and len(tensor.shape) == 2


def fold(source, path, blocks):
    """The first blocks of a model, matrices of blocks in rows of ROW."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(path, "llama")
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            value = blocks if key == "llama.block_count" else field.contents()
            sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, value, field.types[0], sub)
    for tensor in reader.tensors:
        if tensor.name.startswith("blk.") and int(tensor.name.split(".")[1]) >= blocks:
            continue
        data = np.array(tensor.data)
        if is_quantized(tensor):
            data = data.reshape(-1, ROW)
        writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_importance(model, path, importance):
    writer = gguf.GGUFWriter(path, "imatrix")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["synthetic"])
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", 512)
    for tensor in gguf.GGUFReader(model).tensors:
        if is_quantized(tensor):
            writer.add_tensor(tensor.name + ".in_sum2", (importance * 512).astype(np.float32).reshape(1, ROW))
            writer.add_tensor(tensor.name + ".counts", np.full((1, 1), 512, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def errors(model, path, kind, importance):
    """Σ importance·(w − ŵ)² and Σ (w − ŵ)² over the tensors, which must all be of that type."""
    wanted = getattr(gguf.GGMLQuantizationType, kind.upper())
    weighted = plain = 0.0
    written = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    for before in gguf.GGUFReader(model).tensors:
        if is_quantized(before):
            after = written[before.name]
            assert after.tensor_type == wanted, (after.name, after.tensor_type)
            difference = gguf.dequantize(after.data, wanted).astype(np.float64) - np.array(before.data).astype(np.float64)
            plain += (difference ** 2).sum()
            weighted += (difference ** 2 * importance).sum()
    return weighted, plain


def timed(*command):
    started = time.time()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.time() - started


def main(qloupe, llama, models, blocks="4", *types):
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model, imatrix, plan_file, out = folder / "m.gguf", folder / "im.gguf", folder / "plan.json", folder / "out.gguf"
        fold(pathlib.Path(models) / "smollm2-135m-f16.gguf", model, int(blocks))
        rng = np.random.default_rng(1)
        importance = np.exp(rng.normal(size=ROW)) * np.where(rng.random(ROW) < 0.01, 30, 1)
        write_importance(model, imatrix, importance)
        subprocess.run([qloupe, "--quiet", "solve", model, "--candidates", "gguf:q8_0", "--bpw", "16", "--target", "gguf", "--out",
                        plan_file], check=True, stdout=subprocess.DEVNULL)
        plan = json.loads(plan_file.read_text())
        matrices = {tensor.name for tensor in gguf.GGUFReader(model).tensors if is_quantized(tensor)}
        print("type      error with importance, without   time of llama-quantize / ours with, without")
        for kind in types or TYPES:
            ratios, speeds = [], []
            for use in (True, False):
                if not use and kind in NEEDS_IMPORTANCE:  # llama-quantize refuses
                    continue
                plan["candidates"] = {layer: f"gguf:{kind}@imatrix" if layer in matrices else "keep" for layer in plan["candidates"]}
                plan_file.write_text(json.dumps(plan))
                ours = timed(qloupe, "--quiet", "--threads", 2, "export", model, "--plan", plan_file, "--target", "gguf", "--out", out,
                             *(["--activations", imatrix] if use else []))
                a = errors(model, out, kind, importance)[0 if use else 1]
                theirs = timed(llama, "--pure", *(["--imatrix", imatrix] if use else []), "--token-embedding-type", "f16", model,
                               out, NAMES.get(kind, kind.upper()), 2) if kind != "mxfp4" else timed(
                    llama, "--tensor-type", "blk=mxfp4", "--token-embedding-type", "f16",
                    *(["--imatrix", imatrix] if use else []), model, out, "Q8_0", 2)
                b = errors(model, out, kind, importance)[0 if use else 1]
                ratios.append(a / b)
                speeds.append(theirs / ours)
                failed += a > b
            print(f"{kind:8}  " + ", ".join(f"{r:.4f}" for r in ratios) + "   " + ", ".join(f"{s:.2f}" for s in speeds), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
