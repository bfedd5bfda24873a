#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes ranks.json: SciPy's correlations of short lists with and without ties, and quantiles of Student's t.

    python make_ranks.py

Needs numpy and scipy; made with scipy 1.17.
"""
import json
import pathlib

import numpy as np
from scipy import stats


def case(x, y):
    return {"x": list(map(float, x)), "y": list(map(float, y)), "ranks": stats.rankdata(x).tolist(),
            "pearson": float(stats.pearsonr(x, y).statistic), "spearman": float(stats.spearmanr(x, y).statistic),
            "kendall": float(stats.kendalltau(x, y, variant="b").statistic)}


def main():
    rng = np.random.default_rng(14)
    cases = [case([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]), case([1, 1, 2, 2, 3], [1, 2, 2, 3, 3]),
             case([12, 2, 1, 12, 2], [1, 4, 7, 1, 0]), case([0, 0, 0, 1], [3, 2, 1, 0])]
    for n, levels in ((7, 3), (20, 5), (40, 40), (60, 4)):
        x = rng.integers(0, levels, n)
        cases.append(case(x, np.round(x + 2 * rng.standard_normal(n), 1)))
    x = rng.standard_normal(50)
    cases.append(case(x, np.exp(x) + rng.standard_normal(50)))
    students = [{"p": p, "degrees": d, "t": float(stats.t.ppf(p, d))}
                for d in (0.5, 1, 2, 2.5, 3, 7, 22, 100, 1e4, 1e6) for p in (1e-6, 0.05, 0.4, 0.6, 0.95, 0.999)]
    path = pathlib.Path(__file__).with_name("ranks.json")
    path.write_text(json.dumps({"cases": cases, "students": students}, indent=1) + "\n")


if __name__ == "__main__":
    main()
