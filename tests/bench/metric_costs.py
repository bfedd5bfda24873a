#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seconds that each metric takes on a model, beyond choosing the codes of one candidate for every layer: by the clock, and
of the processor over all threads, which other programs disturb less.

    metric_costs.py QLOUPE MODEL [STUDY] [--threads 2] [--candidate int4:g64]

STUDY is calibrated for the model (qloupe calibrate --fisher --depth; qloupe curvature --study). A metric that it has
nothing for is left out and said so. The first row is the codes and their error alone; a run that made the study is
timed by whoever makes it.
"""
import argparse
import json
import resource
import subprocess
import time


def seconds(arguments, common):
    """Of the clock and of all threads, and what was said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(arguments + common, capture_output=True, text=True)
    took = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done


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
    first = [options.qloupe, "sensitivity", options.model, "--metrics", "weight_error"]
    seconds(first, common)  # warms the files
    clock, cpu, _ = seconds(first, common)
    print(f"{'metric':24} {'clock':>8} {'cpu':>8}  evidence")
    print(f"{'codes, weight_error':24} {clock:8.2f} {cpu:8.2f}  data-free", flush=True)
    for metric in json.loads(listed.stdout)["metrics"]:
        if metric["id"] == "weight_error":
            continue
        took, used, done = seconds([options.qloupe, "sensitivity", options.model, "--metrics", metric["id"]], common)
        if done.returncode != 0:
            print(f"{metric['id']:24} {'-':>8} {'-':>8}  {done.stderr.strip().splitlines()[-1]}", flush=True)
        else:
            print(f"{metric['id']:24} {max(0.0, took - clock):8.2f} {max(0.0, used - cpu):8.2f}  {metric['evidence']}",
                  flush=True)


if __name__ == "__main__":
    main()
