# SPDX-License-Identifier: GPL-3.0-or-later
"""What `qloupe validate --as llama.cpp` says of a GGUF plan against llama.cpp running the exported file.

    python llama_cpp_kld.py QLOUPE MODELS [WINDOWS]

SmolLM2-135M (F16), every layer Q8_0, Q5_0 and Q4_0, on MODELS/text/test.txt: perplexity of the unquantized file within 0.5 %, mean
KLD within 5 % (package cyllama). Prints both and the time each took.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import llama_cpp


def validate(qloupe, model, plan, text, windows):
    out = subprocess.run([qloupe, "validate", model, "--plan", plan, "--text", text, "--context", "512", "--windows", str(windows),
                          "--as", "llama.cpp", "--json", "--quiet"], check=True, stdout=subprocess.PIPE)
    return json.loads(out.stdout)


def main(qloupe, models, windows="40"):
    models, windows = pathlib.Path(models), int(windows)
    model, text = models / "smollm2-135m-f16.gguf", models / "text/test.txt"
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        plan, path = pathlib.Path(name) / "plan.json", pathlib.Path(name) / "model.gguf"
        for block in ("q8_0", "q5_0", "q4_0"):
            for command in (["solve", model, "--candidates", f"gguf:{block}@rtn:ggml", "--bpw", "16", "--target", "gguf", "--out", plan],
                            ["export", model, "--plan", plan, "--target", "gguf", "--out", path]):
                subprocess.run([qloupe, *command, "--quiet"], check=True, stdout=subprocess.DEVNULL)
            started = time.time()
            ours = validate(qloupe, model, plan, text, windows)
            between = time.time()
            base, _, kld = llama_cpp.divergence(model, path, text.read_text(), windows)
            ended = time.time()
            print(json.dumps(ours), flush=True)
            found = ours["perplexity"]["value"], ours["other"]["kld"]["value"]
            wrong = abs(found[0] / base - 1) > 0.005 or abs(found[1] / kld - 1) > 0.05
            print(f"{block}: perplexity {found[0]:.4f}, llama.cpp {base:.4f}; mean KLD {found[1]:.5f}, llama.cpp {kld:.5f} "
                  f"({found[1] / kld - 1:+.1%}); {between - started:.1f} s, llama.cpp {ended - between:.1f} s"
                  f"{' FAILED' if wrong else ''}", flush=True)
            failed += wrong
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
