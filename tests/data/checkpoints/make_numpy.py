# SPDX-License-Identifier: GPL-3.0-or-later
# Writes the numpy_* files here. Needs numpy and ml_dtypes:  python make_numpy.py
import os
import struct

import ml_dtypes
import numpy as np

import golden

os.chdir(os.path.dirname(os.path.abspath(__file__)))
rng = np.random.default_rng(1)

WORDS = {"b1": "bool", "i1": "i8", "i2": "i16", "i4": "i32", "i8": "i64", "u1": "u8", "u2": "u16", "u4": "u32", "u8": "u64",
         "f2": "f16", "f4": "f32", "f8": "f64", "c8": "c64", "c16": "c128"}


def sample(code, shape):
    dtype = np.dtype(code)
    n = int(np.prod(shape))
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        a = rng.integers(info.min, info.max, n, dtype, endpoint=True)
        edges = [info.min, info.max, 0, 1]
    elif dtype.kind == "b":
        a = rng.integers(0, 2, n).astype(bool)
        edges = [True, False]
    else:
        a = (rng.standard_normal(n) * 4).astype(dtype)
        f = np.finfo(dtype)
        edges = [0.0, -0.0, np.nan, np.inf, -np.inf, f.max, f.tiny, f.smallest_subnormal]
        if dtype.kind == "c":
            a = a + 1j * rng.standard_normal(n).astype(f.dtype)
    a[: min(n, len(edges))] = edges[:n]
    return a.reshape(shape).astype(dtype)


arrays, expected = {}, {}
for code, word in WORDS.items():
    for order in "<>":
        for layout in "CF":
            for shape in ((3, 4), (2, 3, 4), (2, 1, 3, 2), (7,), (), (0, 3)):
                a = sample(code, shape)
                name = f"{code}.{'le' if order == '<' else 'be'}.{layout}/{'x'.join(map(str, shape)) or 'scalar'}"
                arrays[name] = np.asarray(a.astype(a.dtype.newbyteorder(order)), order=layout)
                expected[name] = golden.tensor(a, word)
# Every 37th code of the 16-bit floats.
codes = np.arange(0, 65536, 37, dtype=np.uint16)
brain = codes.view(ml_dtypes.bfloat16)
arrays["all.bf16"] = brain
arrays["all.f16"] = codes.view(np.float16)
with np.errstate(invalid="ignore"):
    large = {"all.bf16": golden.tensor(codes, "bf16", brain.astype(np.float64)),
             "all.f16": golden.tensor(codes, "f16", codes.view(np.float16).astype(np.float64))}
# Big enough for several patches of the transposition.
a = rng.standard_normal((130, 35)).astype(np.float32)
arrays["large.F"] = np.asarray(a, order="F")
large["large.F"] = golden.tensor(a, "f32")

packed = {k: v for k, v in arrays.items() if "all." not in k}
np.savez("numpy_stored.npz", **packed)
golden.write("numpy_stored.npz", expected | {"large.F": large["large.F"]})
np.savez_compressed("numpy_deflated.npz", **{k: v for k, v in packed.items() if "f2" in k or "c8" in k or k == "large.F"})
golden.write("numpy_deflated.npz", {k: v for k, v in (expected | large).items() if "f2" in k or "c8" in k or k == "large.F"})
np.savez_compressed("numpy_half.npz", **{k: v for k, v in arrays.items() if "all." in k})
golden.write("numpy_half.npz", {k: v for k, v in large.items() if "all." in k}, warnings=1)
np.savez("numpy_mixed.npz", weight=np.ones((2, 2), np.float32), title=np.array("text"), names=np.array(["a", "b"], object),
         when=np.array(["2020-01-01"], "M8[D]"), long=np.ones(2, np.longdouble), rec=np.zeros(2, [("a", "f4"), ("b", "i4")]))
golden.write("numpy_mixed.npz", {"weight": golden.tensor(np.ones((2, 2), np.float32), "f32")}, warnings=5)


def npy(name, array, version, expect):
    with open(name, "wb") as out:
        np.lib.format.write_array(out, array, version=version)
    if expect:
        golden.write(name, {name[:-4]: expect})


a = sample("f4", (3, 5))
npy("numpy_v1.npy", a, (1, 0), golden.tensor(a, "f32"))
npy("numpy_v2.npy", np.asarray(a, order="F"), (2, 0), golden.tensor(a, "f32"))
npy("numpy_v3.npy", a.astype(">f4"), (3, 0), golden.tensor(a, "f32"))
# Python 2 wrote long integers with an L.
header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 5L), }"
header += b" " * (-(len(header) + 11) % 16) + b"\n"
with open("numpy_python2.npy", "wb") as out:
    out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + a.tobytes())
golden.write("numpy_python2.npy", {"numpy_python2": golden.tensor(a, "f32")})
# Refused by name.
npy("numpy_object.npy", np.array([{"a": 1}], object), (1, 0), None)
npy("numpy_text.npy", np.array(["text"]), (1, 0), None)
npy("numpy_records.npy", np.zeros(2, [("a", "f4"), ("b", "i4")]), (1, 0), None)
npy("numpy_longdouble.npy", np.ones(2, np.longdouble), (1, 0), None)

np.savez("oriented.npz", **golden.oriented())
