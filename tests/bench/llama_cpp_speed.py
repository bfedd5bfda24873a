#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens per second and peak memory of qloupe beside llama.cpp's own programs, on the same file, with two threads.

    python llama_cpp_speed.py build/release/bin/qloupe FOLDER_OF_LLAMA_PROGRAMS MODELS [WINDOWS] [PAIRS]

SmolLM2-135M (F16 GGUF): perplexity of text/test.txt against llama-perplexity, calibration (XᵀX of every layer, whole) on
text/calibration.txt against llama-imatrix (its diagonal), and the Fisher pass for which llama.cpp has nothing. Programs take
turns; a figure is the median over the pairs. Time is that of the whole process, loading included. Memory is the largest
resident set (mapped pages of the checkpoint included, as llama.cpp maps it too) and the largest anonymous part of it. share_of_blas:
the multiply-adds that the job cannot do without, per second, over those of one large product of OpenBLAS in the same run.
Aims: at least 1.0 of llama.cpp's tokens per second, at most 0.5 of its memory.
"""
import ctypes
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

CONTEXT = 512
THREADS = "2"


# Multiply-adds for each token of SmolLM2-135M: layers, attention over the tokens before it, output matrix, lower half of XᵀX.
BLOCKS, WIDTH, INNER, KEYS, VOCABULARY = 30, 576, 1536, 192, 49152
LAYERS = BLOCKS * (2 * WIDTH * WIDTH + 2 * WIDTH * KEYS + 3 * WIDTH * INNER)
ATTENTION = BLOCKS * 2 * WIDTH * CONTEXT / 2
HEAD = WIDTH * VOCABULARY
GRAM = BLOCKS * (3 * WIDTH * (WIDTH + 1) + INNER * (INNER + 1)) / 2
WORK = {"perplexity": LAYERS + ATTENTION + HEAD / 2, "calibration": LAYERS + ATTENTION + GRAM,
        "calibration and Fisher diagonal": LAYERS + ATTENTION + 3 * (LAYERS + ATTENTION + HEAD)}


def blas_limit():
    """Multiply-adds per second of a float product of 2048 x 2048 matrices."""
    blas, n = ctypes.CDLL("libopenblas.so.0"), 2048
    blas.openblas_set_num_threads(int(THREADS))
    a, b, c = ((ctypes.c_float * (n * n))() for _ in range(3))
    best = 0
    for _ in range(5):
        start = time.monotonic()
        blas.cblas_sgemm(101, 111, 111, n, n, n, ctypes.c_float(1), a, n, b, n, ctypes.c_float(0), c, n)
        best = max(best, n ** 3 / (time.monotonic() - start))
    return best


def run(command, log):
    """Seconds, largest VmHWM and RssAnon in bytes."""
    start = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT)
    peak = {"VmHWM": 0, "RssAnon": 0}
    while True:
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            break
        for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
            key = line.split(":")[0]
            if key in peak:
                peak[key] = max(peak[key], 1024 * int(line.split()[1]))
        time.sleep(0.02)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        log.seek(0)
        raise SystemExit(f"{command[0]} failed:\n" + log.read())
    return {"seconds": time.monotonic() - start, "resident": usage.ru_maxrss * 1024, "anonymous": peak["RssAnon"],
            "processor": usage.ru_utime + usage.ru_stime}


def compare(name, windows, pairs, programs):
    runs = {key: [] for key in programs}
    for _ in range(pairs):
        for key, command in programs.items():
            with tempfile.TemporaryFile("w+") as log:
                runs[key].append(run(command(), log))
    row = {"job": name, "tokens": windows * CONTEXT}
    for key, results in runs.items():
        seconds = statistics.median(result["seconds"] for result in results)
        row[key] = {"tokens_per_second": round(windows * CONTEXT / seconds, 1), "seconds": round(seconds, 2),
                    "processor_seconds": round(statistics.median(result["processor"] for result in results), 2),
                    "resident_MiB": max(result["resident"] for result in results) >> 20,
                    "anonymous_MiB": max(result["anonymous"] for result in results) >> 20}
    if "llama.cpp" in row:
        pairs_of = zip(runs["qloupe"], runs["llama.cpp"])
        row["speed_ratio"] = round(statistics.median(theirs["seconds"] / ours["seconds"] for ours, theirs in pairs_of), 2)
        row["memory_ratio"] = round(row["qloupe"]["resident_MiB"] / row["llama.cpp"]["resident_MiB"], 2)
    row["share_of_blas"] = round(WORK[name] * row["qloupe"]["tokens_per_second"] / blas_limit(), 2)
    print(json.dumps(row), flush=True)


def main(qloupe, llama, models, windows="40", pairs="3"):
    llama, models, windows, pairs = pathlib.Path(llama), pathlib.Path(models), int(windows), int(pairs)
    model, test, calibration = models / "smollm2-135m-f16.gguf", models / "text/test.txt", models / "text/calibration.txt"
    common = ["-m", model, "-c", CONTEXT, "--chunks", windows, "-t", THREADS, "-tb", THREADS]
    ours = ["--context", CONTEXT, "--windows", windows, "--threads", THREADS, "--quiet"]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)

        def study():  # a new one each time: a finished one is not computed again
            study.count += 1
            return folder / f"{study.count}.qloupe"
        study.count = 0
        compare("perplexity", windows, pairs, {
            "qloupe": lambda: [qloupe, "validate", model, "--text", test, *ours],
            "llama.cpp": lambda: [llama / "llama-perplexity", *common, "-f", test]})
        compare("calibration", windows, pairs, {
            "qloupe": lambda: [qloupe, "calibrate", model, "--text", calibration, "--gram", "full", "--out", study(), *ours],
            "llama.cpp": lambda: [llama / "llama-imatrix", *common, "-f", calibration, "-o", folder / "imatrix.gguf"]})
        compare("calibration and Fisher diagonal", windows, 1, {
            "qloupe": lambda: [qloupe, "calibrate", model, "--text", calibration, "--fisher", "--gram", "diag",
                               "--out", study(), *ours]})


if __name__ == "__main__":
    main(*sys.argv[1:])
