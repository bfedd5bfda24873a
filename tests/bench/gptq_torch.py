#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPTQ of a layer of 4096 x 4096 weights at int4, groups of 128, beside the same in PyTorch on the CPU, two threads each.

    python gptq_torch.py build/release/tests/bench_gptq [ROUNDS]      (a Python with torch)

PyTorch's side is the algorithm of the paper as its authors wrote it down: damping, Cholesky factor of the inverse, blocks of 128
columns, scale and zero point of a group from its range when the sweep reaches it. Both start from the Hessian and end with the
codes; ours also computes the objective of plain rounding, to fall back on it. Programs take turns; a figure is the least of the
rounds. Aim: at most a third of PyTorch's time.
"""
import json
import os
import subprocess
import sys
import time

import torch

SIZE, TOKENS, GROUP, BLOCK, LEVELS = 4096, 2048, 128, 128, 15


def hessian():
    torch.manual_seed(3)
    x = torch.randn(TOKENS, SIZE) + torch.randn(TOKENS, 64).repeat(1, SIZE // 64)
    x[:, ::97] *= 8
    return x.T @ x


def gptq(weights, h):
    h = h.clone()
    h.diagonal().add_(0.01 * h.diagonal().mean())
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(h))
    upper = torch.linalg.cholesky(inverse, upper=True)
    w, codes = weights.clone(), torch.empty_like(weights)
    for begin in range(0, SIZE, BLOCK):
        end = begin + BLOCK
        block, errors, factor = w[:, begin:end].clone(), torch.empty(SIZE, BLOCK), upper[begin:end, begin:end]
        for j in range(BLOCK):
            if (begin + j) % GROUP == 0:
                group = w[:, begin + j:begin + j + GROUP]
                low, high = group.amin(1).clamp(max=0), group.amax(1).clamp(min=0)
                scale = (high - low) / LEVELS
                zero = torch.round(-low / scale)
            column = block[:, j]
            codes[:, begin + j] = torch.clamp(torch.round(column / scale) + zero, 0, LEVELS)
            error = (column - (codes[:, begin + j] - zero) * scale) / factor[j, j]
            block[:, j:] -= error.unsqueeze(1) @ factor[j, j:].unsqueeze(0)
            errors[:, j] = error
        w[:, end:] -= errors @ upper[begin:end, end:]
    return codes


def ours(program):
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    text = subprocess.run([program, "--benchmark_format=json", "--benchmark_filter=int4:g128.*@gptq"], env=environment,
                          check=True, capture_output=True, text=True).stdout
    return {row["name"].split("/")[0]: (row["real_time"] / 1e3, row["ratio_to_blas"]) for row in json.loads(text)["benchmarks"]}


def main():
    program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    torch.set_num_threads(2)
    weights, h = 0.02 * torch.randn(SIZE, SIZE), hessian()
    torch_seconds, rows = float("inf"), {}
    for _ in range(rounds):
        start = time.monotonic()
        gptq(weights, h)
        torch_seconds = min(torch_seconds, time.monotonic() - start)
        for name, (seconds, ratio) in ours(program).items():
            known = rows.get(name, (float("inf"), 0))
            rows[name] = (min(seconds, known[0]), max(ratio, known[1]))
    print(f"PyTorch {torch.__version__}: {torch_seconds:.2f} s")
    for name, (seconds, ratio) in rows.items():
        print(f"{name:45} {seconds:.2f} s  {torch_seconds / seconds:5.2f} x as fast  {ratio:.2f} of BLAS")


if __name__ == "__main__":
    main()
