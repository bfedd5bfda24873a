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


def oriented():
    """Weights W[out, in...]. Each make_*.py stores some in the order of its format (oriented*); make_numpy.py as they are."""
    shapes = {"dense": (24, 37), "recurrent": (20, 5), "conv": (6, 5, 3, 2), "conv1d": (6, 5, 3), "depthwise": (8, 1, 3, 2),
              "pointwise": (6, 8, 1, 1), "transposed": (6, 4, 3, 2), "query": (8, 12), "output": (12, 8), "embedding": (20, 12),
              "stack": (3, 10, 12), "c_attn": (24, 8), "attn_proj": (8, 8), "c_fc": (32, 8), "mlp_proj": (8, 32)}
    rng = np.random.default_rng(5)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
