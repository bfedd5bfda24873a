#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seconds that each metric takes on a model, beyond choosing the codes of one candidate for every layer.

    metric_costs.py QLOUPE MODEL [STUDY] [--threads 2] [--candidate int4:g64]

STUDY is calibrated for the model (qloupe calibrate --fisher --depth; qloupe curvature --study). A metric that it has
nothing for is left out and said so. The first row is the codes and their error alone; a run that made the study is
timed by whoever makes it.
"""
import argparse
import json
import subprocess
import time


def seconds(arguments, common):
    start = time.monotonic()
    done = subprocess.run(arguments + common, capture_output=True, text=True)
    return time.monotonic() - start, done


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("qloupe")
    parser.add_argument("model")
    parser.add_argument("study", nargs="?")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--candidate", default="int4:g64")
    options = parser.parse_args()
    listed = subprocess.run([options.qloupe, "list", "metrics", "--json"], capture_output=True, text=True, check=True)
    common = ["--candidates", options.candidate, "--json", "--threads", options.threads]
    if options.study:
        common += ["--activations", options.study]
    base, _ = seconds([options.qloupe, "sensitivity", options.model, "--metrics", "weight_error"], common)  # warms files
    base, _ = seconds([options.qloupe, "sensitivity", options.model, "--metrics", "weight_error"], common)
    print(f"{'metric':24} {'seconds':>8}  evidence")
    print(f"{'codes, weight_error':24} {base:8.2f}  data-free")
    for metric in json.loads(listed.stdout)["metrics"]:
        if metric["id"] == "weight_error":
            continue
        took, done = seconds([options.qloupe, "sensitivity", options.model, "--metrics", metric["id"]], common)
        if done.returncode != 0:
            print(f"{metric['id']:24} {'-':>8}  {done.stderr.strip().splitlines()[-1]}")
        else:
            print(f"{metric['id']:24} {max(0.0, took - base):8.2f}  {metric['evidence']}", flush=True)


if __name__ == "__main__":
    main()
