# SPDX-License-Identifier: GPL-3.0-or-later
# Writes the onnx_* files here. Needs onnx, ml_dtypes and numpy:  python make_onnx.py
import os

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import golden

os.chdir(os.path.dirname(os.path.abspath(__file__)))
rng = np.random.default_rng(3)
WORDS = {T.FLOAT: "f32", T.UINT8: "u8", T.INT8: "i8", T.UINT16: "u16", T.INT16: "i16", T.INT32: "i32", T.INT64: "i64",
         T.BOOL: "bool", T.FLOAT16: "f16", T.DOUBLE: "f64", T.UINT32: "u32", T.UINT64: "u64", T.COMPLEX64: "c64",
         T.COMPLEX128: "c128", T.BFLOAT16: "bf16", T.FLOAT8E4M3FN: "f8_e4m3", T.FLOAT8E4M3FNUZ: "f32", T.FLOAT8E5M2: "f8_e5m2",
         T.FLOAT8E5M2FNUZ: "f32", T.UINT4: "u8", T.INT4: "i8", T.FLOAT4E2M1: "f4_e2m1", T.FLOAT8E8M0: "f8_e8m0",
         T.UINT2: "u8", T.INT2: "i8"}
NARROW = {"i8": np.int8, "u8": np.uint8}


def expect(tensor):
    """What onnx itself reads from the tensor."""
    array = numpy_helper.to_array(tensor)
    word = WORDS[tensor.data_type]
    if word == "f4_e2m1" and array.size % 2:
        word = "f32"
    if array.dtype.kind in "ciufb":
        return golden.tensor(array, word)
    with np.errstate(invalid="ignore"):
        values = array.astype(np.float64)
    entry = golden.tensor(np.zeros(array.shape, np.uint8), word, values)
    if word in NARROW:  # 2 and 4 bits, unpacked
        return golden.tensor(array.astype(NARROW[word]), word, values)
    del entry["bytes"]
    return entry


def values_of(data_type, n):
    dtype = helper.tensor_dtype_to_np_dtype(data_type)
    bits = {T.UINT4: 4, T.INT4: 4, T.FLOAT4E2M1: 4, T.UINT2: 2, T.INT2: 2}.get(data_type)
    if bits:
        codes = np.arange(n, dtype=np.uint8) % (1 << bits)
        return codes.view(dtype) if data_type in (T.UINT4, T.UINT2, T.FLOAT4E2M1) else \
            (codes.astype(np.int8) - (1 << (bits - 1))).astype(dtype)
    if dtype.itemsize == 1 and data_type != T.BOOL:
        return (np.arange(n) % 256).astype(np.uint8).view(dtype)
    if dtype.itemsize == 2:
        return (np.arange(n) * 65535 // max(1, n - 1)).astype(np.uint16).view(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, n).astype(bool)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, n, dtype, endpoint=True)
    a = rng.standard_normal(n)
    return (a + 1j * rng.standard_normal(n) if dtype.kind == "c" else a).astype(dtype)


initializers, expected = [], {}


def add(tensor):
    initializers.append(tensor)
    expected[tensor.name] = expect(tensor)


for data_type, word in WORDS.items():
    kind = T.DataType.Name(data_type).lower()
    for shape in ((16, 16), (5, 3), (), (0, 4)):
        n = int(np.prod(shape))
        name = f"{kind}.{'x'.join(map(str, shape)) or 'scalar'}"
        array = values_of(data_type, n).reshape(shape)
        add(numpy_helper.from_array(array, name + ".raw"))
        typed = helper.make_tensor(name + ".typed", data_type, shape, array.ravel())
        if not typed.HasField("raw_data"):
            add(typed)

node = helper.make_node
constants = [
    node("Constant", [], ["c.tensor"], value=numpy_helper.from_array(np.ones((2, 3), np.float32), "inner name")),
    node("Constant", [], ["c.float"], value_float=1.5),
    node("Constant", [], ["c.floats"], value_floats=[1.0, 2.0, 3.0]),
    node("Constant", [], ["c.int"], value_int=-7),
    node("Constant", [], ["c.ints"], value_ints=[1, -2, 300]),
    node("Constant", [], ["c.text"], value_string="text"),
]
expected |= {"c.tensor": golden.tensor(np.ones((2, 3), np.float32), "f32"), "c.float": golden.tensor(np.float32(1.5), "f32"),
             "c.floats": golden.tensor(np.array([1, 2, 3], np.float32), "f32"), "c.int": golden.tensor(np.int64(-7), "i64"),
             "c.ints": golden.tensor(np.array([1, -2, 300]), "i64")}


def branch(name, value):
    out = helper.make_tensor_value_info("out", T.FLOAT, [1])
    inner = helper.make_graph([node("Constant", [], ["deep"], value_floats=[value * 10])], "deepest",
                              [], [helper.make_tensor_value_info("deep", T.FLOAT, [1])])
    return helper.make_graph(
        [node("Constant", [], ["out"], value_floats=[value]),
         node("If", ["cond"], ["x"], name="inner_if", then_branch=inner, else_branch=inner)],
        name, [], [out], [numpy_helper.from_array(np.array([value], np.float32), "w")])


nodes = constants + [node("If", ["cond"], ["y"], name="choose", then_branch=branch("a", 1.0), else_branch=branch("b", 2.0))]


def f32(*values):
    return golden.tensor(np.array(values, np.float32), "f32")


# onnx.helper sorts attributes: the else branch comes first.
expected |= {"w": f32(2), "out": f32(2), "deep": f32(20), "deep@choose.else_branch/inner_if.then_branch": f32(20),
             "w@choose.then_branch": f32(1), "out@choose.then_branch": f32(1),
             "deep@choose.then_branch/inner_if.then_branch": f32(10), "deep@choose.then_branch/inner_if.else_branch": f32(10)}
function = helper.make_function("local", "scaled", ["a"], ["b"], [node("Constant", [], ["factor"], value_float=2.0),
                                                                  node("Mul", ["a", "factor"], ["b"])],
                                [helper.make_opsetid("", 21)])
expected["factor"] = golden.tensor(np.float32(2), "f32")
sparse = helper.make_sparse_tensor(helper.make_tensor("sparse", T.FLOAT, [1], [1.0]),
                                   helper.make_tensor("indices", T.INT64, [1], [0]), [10])
text = helper.make_tensor("text", T.STRING, [1], [b"text"])
graph = helper.make_graph(nodes, "graph", [helper.make_tensor_value_info("cond", T.BOOL, [])],
                          [helper.make_tensor_value_info("y", T.FLOAT, [1])], initializers + [text], sparse_initializer=[sparse])
model = helper.make_model(graph, producer_name="golden", functions=[function])
model.metadata_props.add(key="licence", value="GPL")
onnx.save(model, "onnx_types.onnx")
golden.write("onnx_types.onnx", expected, warnings=3, metadata={"producer_name": "golden", "licence": "GPL"})

# External data, two tensors in one file and one in another folder.
weights = {"one": rng.standard_normal((3, 4)).astype(np.float32), "two": rng.standard_normal(6).astype(np.float16),
           "three": values_of(T.INT4, 9)}
tensors = [numpy_helper.from_array(a, name) for name, a in weights.items()]
expected = {t.name: expect(t) for t in tensors}
os.makedirs("onnx_data", exist_ok=True)
with open("onnx_data/first.bin", "wb") as first, open("onnx_data/second.bin", "wb") as second:
    for t, out in zip(tensors, (first, first, second)):
        out.write(b"\0" * (-out.tell() % 64))
        t.data_location = T.EXTERNAL
        pairs = {"location": out.name, "offset": str(out.tell()), "length": str(len(t.raw_data))}
        if t.name == "three":
            del pairs["offset"], pairs["length"]
        for key, value in pairs.items():
            t.external_data.add(key=key, value=value)
        out.write(t.raw_data)
        t.ClearField("raw_data")
model = helper.make_model(helper.make_graph([], "graph", [], [], tensors))
onnx.save(model, "onnx_external.onnx")
golden.write("onnx_external.onnx", expected)
# The same with hostile places.
for name, pairs in {"climbs": {"location": "../secret"}, "absolute": {"location": "/etc/passwd"},
                    "beyond": {"offset": "1000000"}, "negative": {"offset": "-4"}, "missing": {"location": "onnx_data/none"},
                    "folder": {"location": "onnx_data"}}.items():
    bad = onnx.ModelProto()
    bad.CopyFrom(model)
    for entry in bad.graph.initializer[0].external_data:
        entry.value = pairs.get(entry.key, entry.value)
    with open(f"onnx_bad_{name}.onnx", "wb") as out:
        out.write(bad.SerializeToString())

# Weights as operators take them; the names say nothing.
w = golden.oriented()


def grouped(weights, groups):
    """W[out, in/groups, k...] as ConvTranspose takes it, [in, out/groups, k...]."""
    return np.concatenate([part.swapaxes(0, 1) for part in np.split(weights, groups)])


stored = {"a.right": w["dense"].T, "b.left": w["dense"], "c.gemm": w["dense"].T, "d.gemm_b": w["dense"], "e.gemm_a": w["dense"].T,
          "f.turned": w["dense"], "g.stack": w["stack"].transpose(0, 2, 1), "h.conv": w["conv"], "i.deconv": grouped(w["transposed"], 1),
          "j.deconv_2": grouped(w["transposed"], 2), "k.table": w["embedding"], "l.lstm": w["stack"], "m.outer": w["dense"].T,
          "n.unused": w["dense"]}
inner = helper.make_graph([node("MatMul", ["x", "m.outer"], ["out"])], "then", [], [helper.make_tensor_value_info("out", T.FLOAT, None)])
nodes = [node("MatMul", ["x", "a.right"], ["ya"]), node("MatMul", ["b.left", "x"], ["yb"]), node("Gemm", ["x", "c.gemm"], ["yc"]),
         node("Gemm", ["x", "d.gemm_b"], ["yd"], transB=1), node("Gemm", ["e.gemm_a", "x"], ["ye"], transA=1),
         node("Identity", ["f.turned"], ["f.same"]), node("Transpose", ["f.same"], ["f.t"], perm=[1, 0]),
         node("MatMul", ["x", "f.t"], ["yf"]), node("MatMul", ["x", "g.stack"], ["yg"]), node("Conv", ["x", "h.conv"], ["yh"]),
         node("ConvTranspose", ["x", "i.deconv"], ["yi"]), node("ConvTranspose", ["x", "j.deconv_2"], ["yj"], group=2),
         node("Gather", ["k.table", "ids"], ["yk"]), node("LSTM", ["x", "l.lstm", "r"], ["yl"]),
         node("If", ["cond"], ["ym"], then_branch=inner, else_branch=inner)]
onnx.save(helper.make_model(helper.make_graph(nodes, "graph", [], [], [numpy_helper.from_array(np.ascontiguousarray(a), name)
                                                                      for name, a in stored.items()])), "oriented.onnx")
