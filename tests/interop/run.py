# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports real models with qloupe and has them read by the libraries the files are meant for; runs them beside
transformers.

    python run.py QLOUPE MODELS [BITS_PER_WEIGHT]

MODELS holds smollm2-135m and minilm-l6-v2 (folders), smollm2-135m-f16.gguf and text. Needs torch, transformers, accelerate,
compressed-tensors, gguf, h5py. Exports are compared bit for bit; the exit code is 0 if all agree. Where cyllama is installed, GGUF
files are loaded in llama.cpp too: perplexities of MODELS/text/test.txt beside those of the 16-bit file and of a uniform one, and a
SentencePiece model.
"""
import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import llama_cpp

HERE = pathlib.Path(__file__).parent
BLOCKS = ["gguf:q4_0", "gguf:q4_1", "gguf:q5_0", "gguf:q5_1", "gguf:q8_0"]


def run(*command):
    started = time.time()
    print("$", *command, flush=True)
    code = subprocess.run([str(part) for part in command]).returncode
    print(f"  {'ok' if code == 0 else f'FAILED ({code})'}, {time.time() - started:.1f} s", flush=True)
    return code != 0


def python(script, *arguments):
    return run(sys.executable, HERE / script, *arguments)


def mixed(qloupe, model, target, candidates, bits, out):
    """A plan at a budget, its export by the target and the same plan as HDF5; returns the number of failures."""
    plan = out / f"{target}.json"
    failed = run(qloupe, "solve", model, "--candidates", ",".join(candidates), "--bpw", bits, "--target", target,
                 "--out", plan)
    failed += run(qloupe, "export", model, "--plan", plan, "--target", target, "--out", out / target)
    failed += run(qloupe, "verify", out / target, "--against", model)
    failed += run(qloupe, "export", model, "--plan", plan, "--target", "hdf5", "--out", out / f"{target}.h5")
    return failed


FORMATS = ["nvfp4", "mxfp4", "int4:g32:asym", "fp8_e4m3:channel", "fp8_e4m3:tensor", "int8:channel+a:int8:token",
           "fp8_e4m3+a:fp8_e4m3:token", "int8:g64:asym", "int4:channel:asym@mse", "nvfp4@mse"]


def formats(qloupe, model, out, choose, name):
    """An export with candidates by choose(number of the fused module), as every format of compressed-tensors has them."""
    plan = out / f"{name}.json"
    failed = run(qloupe, "solve", model, "--candidates", "keep", "--bpw", 16, "--target", "compressed-tensors", "--out", plan)
    content = json.loads(plan.read_text())
    modules = {}
    for layer in content["candidates"]:
        if ".layers." in layer and "norm" not in layer:
            key = layer.split(".layers.")[1].split(".")[0] + ("qkv" if layer.split(".")[-2][:2] in ("q_", "k_", "v_") else
                  "gate_up" if layer.split(".")[-2] in ("gate_proj", "up_proj") else layer.split(".")[-2])
            content["candidates"][layer] = choose(modules.setdefault(key, len(modules)))
    plan.write_text(json.dumps(content))
    folder, codes = out / name, out / f"{name}.h5"
    failed += run(qloupe, "export", model, "--plan", plan, "--target", "compressed-tensors", "--out", folder)
    failed += run(qloupe, "verify", folder, "--against", model)
    content = json.loads((folder / "quantloupe_plan.json").read_text())
    content["candidates"] = {layer: re.sub(r"\+a:[^@]*", "", text) for layer, text in content["candidates"].items()}
    plan.write_text(json.dumps(content))
    failed += run(qloupe, "export", model, "--plan", plan, "--target", "hdf5", "--out", codes)
    return failed + python("compressed_tensors_folder.py", folder, codes, model)


def uniform(qloupe, model, block, out):
    """The reference rule everywhere, against the gguf package's own quantizer."""
    template = out / "uniform.json"
    path = out / f"{block[5:]}.gguf"
    failed = run(qloupe, "solve", model, "--candidates", f"{block}@rtn:ggml", "--bpw", 16, "--target", "gguf", "--out",
                 template)
    plan = json.loads(template.read_text())
    plan["candidates"] = {name: f"{block}@rtn:ggml" for name in plan["candidates"]}
    template.write_text(json.dumps(plan))
    failed += run(qloupe, "export", model, "--plan", template, "--target", "gguf", "--out", path)
    return failed + python("gguf_file.py", path, "--reference", model, block[5:])


def sums(qloupe, model, out):
    """Codes with columns, sparse weights and low-rank factors beside them, read by h5py alone."""
    plan, path = out / "sums.json", out / "sums.h5"
    candidates = "int3:g64+sparse1,int4:g64:asym+lr8,int4:tensor+cols8,int8+cols4+sparse0.5+lr2"
    failed = run(qloupe, "solve", model, "--candidates", candidates, "--bpw", 5, "--target", "hdf5", "--out", plan)
    failed += run(qloupe, "export", model, "--plan", plan, "--target", "hdf5", "--out", path)
    failed += run(qloupe, "verify", path, "--against", model)
    return failed + python("sums_of_parts.py", path)


def perplexities(models, exports, uniform, chunks=8):
    """Of exports by name, of the 16-bit file and of llama.cpp's own Q4_1, which has about five bits per weight."""
    f16, text = models / "smollm2-135m-f16.gguf", (models / "text/test.txt").read_text()
    llama_cpp.quantize(f16, uniform, 3)
    reference = llama_cpp.perplexity(f16, text, chunks)
    print(f"  f16: {f16.stat().st_size} bytes, perplexity {reference:.4f}", flush=True)
    failed = 0
    for name, path in {"uniform Q4_1": uniform, **exports}.items():
        found = llama_cpp.perplexity(path, text, chunks)
        wrong = not found < 1.5 * reference
        print(f"  {name}: {path.stat().st_size} bytes, perplexity {found:.4f}{' WRONG' if wrong else ''}", flush=True)
        failed += wrong
    return failed


def main(qloupe, models, bits="5.0"):
    models = pathlib.Path(models)
    folder, f16 = models / "smollm2-135m", models / "smollm2-135m-f16.gguf"
    failed = python("model_outputs.py", qloupe, models)
    with tempfile.TemporaryDirectory() as name:
        out = pathlib.Path(name)
        candidates = ["int4:g64@rtn:ct", "int8:g64@rtn:ct", "keep"]
        failed += mixed(qloupe, folder, "compressed-tensors", candidates, 8.0, out)
        failed += python("compressed_tensors_folder.py", out / "compressed-tensors", out / "compressed-tensors.h5", folder)
        for name, several in (("mixed", [f for f in FORMATS if "asym" not in f]), ("mixed-zero-points", FORMATS)):
            failed += formats(qloupe, folder, out, lambda n: several[n % len(several)], name)
        for number, candidate in enumerate(FORMATS):
            failed += formats(qloupe, HERE.parent.parent / "resources/sample", out, lambda n: candidate, f"format-{number}")
        blocks = [f"{block}@rtn:ggml" for block in BLOCKS]
        exports = {}
        for source, script, *options in ((f16, "gguf_file.py", "--source"), (folder, "llama_folder_gguf.py")):
            failed += mixed(qloupe, source, "gguf", blocks, bits, out)
            failed += python(script, out / "gguf", out / "gguf.h5", *options, f16)
            exports[f"mixed, from {source.name}"] = (out / "gguf").rename(out / f"{source.stem}.mixed.gguf")
        if importlib.util.find_spec("cyllama"):
            failed += perplexities(models, exports, out / "uniform.gguf")
            failed += python("llama_cpp.py", qloupe, out)
        failed += sums(qloupe, folder, out)
        for block in BLOCKS:
            failed += uniform(qloupe, f16, block, out)
    print("all agree" if failed == 0 else f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
