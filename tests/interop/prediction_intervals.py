#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many of 30 plans lie in the nominal 90 % intervals of their predicted KLD, fitted on other plans.

    python prediction_intervals.py QLOUPE MODEL CALIBRATION TEST [OUT] [PLANS] [WINDOWS] [CONTEXT] [CANDIDATES] [BPW]

Calibrates MODEL on CALIBRATION (--fisher; a study OUT/calibration.qloupe that is there is taken), measures PLANS (40) plans and the
30 test plans (10 random, 10 of the solver at other sizes, 10 edits of one) on WINDOWS (4) windows of CONTEXT (256) tokens of TEST, and
prints for each metric in nats per token how many are inside and the median half-width ÷ measured KLD, and the metrics' correlations.
The exit code is 0 if 24 to 30 are inside and that width is at most 0.25 by any metric. What was measured is kept in OUT.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import time


def qloupe(program, *arguments):
    started = time.time()
    result = subprocess.run([program, "--json", "--quiet", *map(str, arguments)], capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, arguments))}\n{result.stderr}")
    print(f"  {arguments[0]}: {time.time() - started:.0f} s", flush=True)
    return json.loads(result.stdout)


def main(program, model, calibration, test, out=None, plans="40", windows="4", context="256",
         candidates="int3:g64,int4:g64,int5:g64,int8:g64", bpw="3.8,4.2,4.6,5"):
    out = pathlib.Path(out or tempfile.mkdtemp())
    out.mkdir(parents=True, exist_ok=True)
    study = out / "calibration.qloupe"
    if not study.exists():
        qloupe(program, "calibrate", model, "--text", calibration, "--windows", 16, "--context", context, "--fisher", "--out", study)
    result = qloupe(program, "correlate", model, "--activations", study, "--text", test, "--windows", windows, "--context", context,
                    "--plans", plans, "--bpw", bpw, "--candidates", candidates, "--intervals", "--search", "--out", out / "plans.qloupe")
    (out / "correlate.json").write_text(json.dumps(result, indent=1))
    for row in result["correlations"]:
        print(f"{row['metric']:24} Spearman {row['spearman']:.3f} ({row['spearman_low']:.3f} to {row['spearman_high']:.3f}) "
              f"Kendall {row['kendall']:.3f}", flush=True)
    print("recommended:", result["recommended"], "-", result["evidence"])
    print("searched:", json.dumps(result["search"]))
    good = False
    for row in result["intervals"]:
        kinds = ", ".join(f"{key[7:]} {value}" for key, value in row.items() if key.startswith("inside_"))
        print(f"{row['metric']}: {row['inside']} of {row['test_plans']} inside ({kinds}), median half-width "
              f"{row['median_half_width']:.3f} of the measured, {row['fitted_plans']} plans behind")
        good |= 24 <= row["inside"] <= 30 and row["median_half_width"] <= 0.25
    return 0 if good else 1


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
