# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads an HDF5 export with h5py and restores the tensors whose candidates have additions (+cols, +sparse, +lr) by the
formulas of the file's README; compares them bit for bit with the weights stored beside.

    python sums_of_parts.py EXPORT.h5

Bases of integers in groups, rows or tensors. The exit code is 0 if all agree.
"""
import re
import sys

import h5py
import numpy as np


def base(group, scheme):
    codes = group["codes"][()]
    rows = codes.shape[0]
    codes = codes.reshape(rows, -1)
    columns = codes.shape[1]
    scales = group["scales"][()]
    size = re.search(r":g(\d+)", scheme)

    def spread(values):
        if size:
            return np.repeat(values, int(size[1]), axis=1)[:, :columns]
        return values.reshape(-1, 1) if values.size > 1 else values.reshape(1, 1)

    level = codes.astype(np.float32)
    if "zero_points" in group:
        level = level - spread(group["zero_points"][()]).astype(np.float32)
    return level * spread(scales)


def restore(group, scheme):
    weight = base(group, scheme)
    if "kept_columns" in group:
        for column, values in zip(group["kept_columns"][()], group["kept_values"][()].astype(np.float32).T):
            if column >= 0:
                weight[:, column] += values
    if "sparse_values" in group:
        starts = group["sparse_starts"][()].astype(np.int64)
        rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        weight[rows, group["sparse_columns"][()].astype(np.int64)] += group["sparse_values"][()].astype(np.float32)
    if "left" in group:
        left, right = (group[name][()].astype(np.float32) for name in ("left", "right"))
        for k in range(left.shape[1]):
            weight += left[:, k : k + 1] * right[k]
    return weight


def main():
    failed = compared = 0
    with h5py.File(sys.argv[1], "r") as export:
        for group in export["tensors"].values():
            candidate = group.attrs["candidate"]
            candidate = candidate.decode() if isinstance(candidate, bytes) else candidate
            scheme = candidate.split("@")[0]
            if "+" not in scheme:
                continue
            expected = group["weights"][()].ravel()
            wrong = int((restore(group, scheme).ravel().view(np.uint32) != expected.view(np.uint32)).sum())
            compared += expected.size
            failed += wrong
            if wrong:
                print(f"{group.attrs['name']} {candidate}: {wrong} of {expected.size} differ")
    print(f"{compared} weights of sums compared, {failed} differ")
    return 0 if compared and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
