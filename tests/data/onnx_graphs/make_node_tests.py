#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes node_tests.safetensors: those of the onnx package's backend node tests that fit, of every operator QuantLoupe
runs. Needs onnx 1.23, numpy and safetensors.

    python make_node_tests.py QLOUPE

A test is a model, as bytes, with its inputs and outputs: "<test>|model", "<test>|in|<name>", "<test>|out|<name>".
Tests that QuantLoupe refuses by name, and those that check what it does not promise, are left out with the reason; all
of them run in tests/interop/onnx_graphs.py.
"""
import json
import pathlib
import re
import subprocess
import sys
import warnings

import numpy as np
import onnx
import onnx.backend.test.loader
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
MOST_BYTES = 6000  # of a test in the file
FIRST_OPSET = 13

# Tests QuantLoupe refuses, by part of the name.
REFUSED = {
    "pool_3d|maxpool_3d": "windows of three dimensions",
    "maxpool_with_argmax": "places of what was chosen",
    "maxpool_2d_uint8": "pooling of integers",
    "training_(mode|dropout)|dropout_default_mask": "training",
    "(edge|reflect|wrap)_pad": "modes of padding",
    "pow_types_int(32|64)_float32": "integers with real exponents",
    "(max|min|log_sum_exp).*_empty_set": "the largest of no elements",
    "^test_if": "graphs chosen by an input",
    "empty_axes_input_noop": "axes that are computed and may mean that nothing is reduced",
    "convtranspose_3d": "windows of three dimensions",
    "einsum_batch_diagonal": "an axis named twice",
    "resize_.*(cubic|crop_and|antialias|axes|not_larger|not_smaller|symmetric)": "modes of resizing",
}
# What it computes otherwise.
DIFFERENT = {
    "averagepool_2d_ceil_last_window_starts_on_pad": "its output is rounded to four digits",
}


def operators(qloupe):
    listed = json.loads(subprocess.check_output([qloupe, "list", "onnx-operators", "--json"]))
    return {row["id"] for row in listed["onnx-operators"]}


def reason(name):
    """Why a test is left out; empty if it is not."""
    return next((why for part, why in (REFUSED | DIFFERENT).items() if re.search(part, name)), "")


def node_tests(known):
    """(name, model, inputs by name, outputs by name) of the tests whose operators are all run, on plain arrays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = onnx.backend.test.loader.load_model_tests(kind="node")
    for test in tests:
        model = test.model
        ops = {node.op_type for node in model.graph.node}
        if [entry.domain for entry in model.opset_import] != [""] or not ops <= known:
            continue
        opset = model.opset_import[0]
        if opset.version < FIRST_OPSET:  # tests keep the version in which an operator last changed
            if any(onnx.defs.get_schema(op, FIRST_OPSET).since_version > opset.version for op in ops):
                continue
            opset.version = FIRST_OPSET
        inputs, outputs = test.data_sets[0]
        values = [dict(zip((port.name for port in ports),
                           (np.asarray(array) if isinstance(array, np.generic) else array for array in arrays)))
                  for ports, arrays in ((model.graph.input, inputs), (model.graph.output, outputs))]
        arrays = [array for side in values for array in side.values()]
        if all(isinstance(array, np.ndarray) and array.dtype.kind in "biuf" and array.dtype.isbuiltin == 1
               for array in arrays):
            yield test.name, model, *values


def main(qloupe):
    known = operators(qloupe)
    packed, claimed = {}, set()
    sized = [(len(test[1].SerializeToString()) + sum(a.nbytes for side in test[2:] for a in side.values()), test)
             for test in node_tests(known) if not reason(test[0])]
    for size, (name, model, inputs, outputs) in sorted(sized, key=lambda entry: (entry[0], entry[1][0])):
        if size > MOST_BYTES and {node.op_type for node in model.graph.node} <= claimed:
            continue
        packed[f"{name}|model"] = np.frombuffer(model.SerializeToString(), np.uint8)
        for side, arrays in (("in", inputs), ("out", outputs)):
            packed |= {f"{name}|{side}|{key}": np.asarray(array, order="C") for key, array in arrays.items()}
        claimed |= {node.op_type for node in model.graph.node}
    save_file(packed, HERE / "node_tests.safetensors")
    print(len({key.split("|")[0] for key in packed}), "tests; without one:", sorted(known - claimed))


if __name__ == "__main__":
    main(sys.argv[1])
