#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes statistics.json: exact statistics (rational arithmetic) and NumPy histograms of arrays that the test rebuilds.

Element i of a case is mean + std * (u(3i) + u(3i+1) + u(3i+2) - 1.5) in double arithmetic from the left, u(k) the upper
53 bits of splitmix64(k) times 2^-53, cast to the case's type. Needs numpy and scipy; made with numpy 2.x, scipy 1.17.
"""
import json
import pathlib
from fractions import Fraction
from math import isqrt

import numpy as np
from scipy import stats

MASK = (1 << 64) - 1
COUNT = 2000
BINS = 32
CASES = [
    ("usual", "f64", 0.0, 0.02),
    ("mean/std 1e4", "f64", 1e4, 2.0),
    ("mean/std -1e4", "f64", -3e-7, 6e-11),
    ("huge", "f64", 0.0, 1e150),
    ("huge, offset", "f64", 1e150, 2e146),
    ("tiny", "f64", 1e-150, 2e-150),
    ("floats", "f32", 0.001, 0.03),
    ("floats, mean/std 1e4", "f32", 1e4, 2.0),
    ("halves", "f16", 0.5, 0.25),
]


def splitmix64(k):
    z = (k * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def uniform(k):
    return (splitmix64(k) >> 11) * 2.0**-53


def root(x):
    """Square root of a non-negative rational, right to 60 digits."""
    scale = 1
    while x * scale * scale < 10**120:
        scale *= 10**40
    return Fraction(isqrt(int(x * scale * scale)), scale)


def exact(values):
    xs = [Fraction(float(v)) for v in values]
    n = len(xs)
    mean = sum(xs) / n
    m2 = sum((x - mean) ** 2 for x in xs)
    m4 = sum((x - mean) ** 4 for x in xs)
    return {
        "min": float(min(xs)), "max": float(max(xs)), "absmax": float(max(map(abs, xs))), "mean": float(mean),
        "std": float(root(m2 / n)), "kurtosis": float(n * m4 / m2**2), "l2": float(root(sum(x * x for x in xs))),
    }


def main():
    cases = []
    for name, dtype, mean, std in CASES:
        values = np.array([mean + std * (uniform(3 * i) + uniform(3 * i + 1) + uniform(3 * i + 2) - 1.5)
                           for i in range(COUNT)]).astype({"f64": "f8", "f32": "f4", "f16": "f2"}[dtype])
        wide = values.astype(np.float64)
        want = exact(wide)
        if 1e-70 < want["std"] < 1e70:  # elsewhere SciPy overflows or vanishes
            assert abs(stats.kurtosis(wide, fisher=False) / want["kurtosis"] - 1) < 1e-9, name
            assert abs(wide.std() / want["std"] - 1) < 1e-9 and abs(np.linalg.norm(wide) / want["l2"] - 1) < 1e-12
        counts, edges = np.histogram(wide, bins=BINS)
        assert edges[0] == want["min"] and edges[-1] == want["max"]
        cases.append({"name": name, "dtype": dtype, "mean_parameter": mean, "std_parameter": std, **want,
                      "histogram": counts.tolist()})
    path = pathlib.Path(__file__).with_name("statistics.json")
    path.write_text(json.dumps({"count": COUNT, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
