# SPDX-License-Identifier: GPL-3.0-or-later
# What a reader has to find in a file, as text: <name>.json beside the file. Shared by the scripts that write golden files.
import json
import math

import numpy as np


def number(x):
    x = float(x)
    return x if math.isfinite(x) else ("nan" if math.isnan(x) else ("inf" if x > 0 else "-inf"))


def tensor(array, dtype, values=None):
    """array: as it should come out, row-major; values: what they mean, where bytes do not say it."""
    array = np.asarray(array, order="C")
    entry = {"dtype": dtype, "shape": list(array.shape), "bytes": array.astype(array.dtype.newbyteorder("<")).tobytes().hex()}
    if values is not None:
        entry["values"] = [number(v) for v in np.asarray(values, np.float64).ravel()]
    return entry


def write(path, tensors, warnings=0, metadata=None, config=None):
    with open(path + ".json", "w") as out:
        json.dump({"tensors": tensors, "warnings": warnings, "metadata": metadata or {}, "config": config}, out)
        out.write("\n")
