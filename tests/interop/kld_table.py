#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""KLD of quantizers side by side on SmolLM2-135M: every layer and the tied head at int4:g64, int3:g64, IQ4_NL and Q4_0, plain and
behind transforms.

    python kld_table.py QLOUPE MODELS [WINDOWS] [STUDY]

MODELS holds smollm2-135m and text/{calibration,test}.txt. WINDOWS (8) windows of 512 tokens of test.txt are scored. STUDY holds a
calibration; without one 48 windows of calibration.txt are run, with the loss's weights (--fisher), which takes most of the time.
Prints nats per token with the standard error of tokens. Nothing but the standard library is needed.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

FEEDBACK = ["gptq", "gptq:polish=4"]
PLAIN = ["rtn", "mse", "imatrix", *FEEDBACK, "decoupleq"]
TABLE = [  # transform, schemes, quantizers
    ("", ["int4:g64", "int3:g64"], PLAIN),
    ("", ["int4:g64:asym", "int3:g64:asym"], ["rtn", "hqq", *FEEDBACK]),
    ("awq", ["int4:g64", "int3:g64"], ["rtn", *FEEDBACK]),
    ("smooth_plus", ["int4:g64", "int3:g64"], ["rtn", *FEEDBACK]),
    ("hadamard", ["int4:g64", "int3:g64"], ["rtn", *FEEDBACK]),
    ("", ["gguf:iq4_nl", "gguf:q4_0"], ["rtn", "imatrix", *FEEDBACK]),
]


def qloupe(program, *arguments):
    result = subprocess.run([program, "--json", "--quiet", *map(str, arguments)], capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, arguments))}\n{result.stderr}")
    return json.loads(result.stdout)


def main(program, models, windows=8, study=None):
    model, text = models / "smollm2-135m", models / "text"
    with tempfile.TemporaryDirectory() as folder:
        if study is None:
            study = pathlib.Path(folder) / "study.qloupe"
            qloupe(program, "calibrate", model, "--text", text / "calibration.txt", "--windows", 48, "--gram", "full", "--fisher",
                   "--out", study)
        for transform, schemes, quantizers in TABLE:
            for scheme in schemes:
                candidates = ",".join(f"{scheme}@{quantizer}" for quantizer in quantizers)
                result = qloupe(program, "validate", model, "--text", text / "test.txt", "--windows", windows, "--activations", study,
                                "--candidates", candidates, *(["--transform", transform] if transform else []))
                for row in result["candidates"]:
                    print(f"{transform or '-':12} {row['candidate']:32} {row['bits_per_weight']:6.3f} bits "
                          f"{row['kld']:8.4f} ± {row['kld_token_error']:.4f}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], pathlib.Path(sys.argv[2]), *map(int, sys.argv[3:4]), *sys.argv[4:5])
