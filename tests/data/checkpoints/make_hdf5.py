# SPDX-License-Identifier: GPL-3.0-or-later
# Writes the hdf5_* files here. Needs h5py, ml_dtypes and numpy:  python make_hdf5.py
# The two Keras files have the layout of Keras 2 (.h5) and Keras 3 (.weights.h5) models.
import json
import os

import h5py
import ml_dtypes
import numpy as np

import golden

os.chdir(os.path.dirname(os.path.abspath(__file__)))
rng = np.random.default_rng(2)
WORDS = {"b1": "bool", "i1": "i8", "i2": "i16", "i4": "i32", "i8": "i64", "u1": "u8", "u2": "u16", "u4": "u32", "u8": "u64",
         "f2": "f16", "f4": "f32", "f8": "f64"}


def sample(code, shape):
    dtype = np.dtype(code)
    n = int(np.prod(shape))
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        a = rng.integers(info.min, info.max, n, dtype, endpoint=True)
    elif dtype.kind == "b":
        a = rng.integers(0, 2, n).astype(bool)
    else:
        a = (rng.standard_normal(n) * 4).astype(dtype)
        f = np.finfo(dtype)
        edges = [0.0, -0.0, np.nan, np.inf, -np.inf, f.max, f.tiny, f.smallest_subnormal]
        a[: min(n, len(edges))] = edges[:n]
    return a.reshape(shape)


def brain_type(order):
    t = h5py.h5t.IEEE_F32LE.copy() if order == "<" else h5py.h5t.IEEE_F32BE.copy()
    t.set_fields(15, 7, 8, 0, 7)
    t.set_size(2)
    t.set_ebias(127)
    return t


expected = {}
refused = 0  # szip is left out
with h5py.File("hdf5_types.h5", "w") as f:
    f.attrs["maker"] = "h5py"
    for code, word in WORDS.items():
        for order in "<>" if code not in ("b1", "i1", "u1") else "<":
            for layout in ("contiguous", "chunked", "gzip", "fletcher", "szip"):
                if layout == "szip" and (code == "b1" or not h5py.h5z.filter_avail(h5py.h5z.FILTER_SZIP)):
                    continue
                if layout not in ("contiguous", "chunked") and code not in ("f4", "i2", "f2"):
                    continue
                for shape in ((5, 6), (3, 4, 5)) if code == "f4" else ((5, 6),):
                    a = sample(code, shape)
                    name = f"{layout}/{code}{'le' if order == '<' else 'be'}.{len(shape)}d"
                    options = {"contiguous": {}, "chunked": {"chunks": (3,) * len(shape)},
                               "gzip": {"chunks": (3,) * len(shape), "compression": "gzip", "shuffle": True},
                               "fletcher": {"chunks": (3,) + shape[1:], "fletcher32": True},
                               "szip": {"chunks": (2, 4) if len(shape) == 2 else (1, 2, 4), "compression": "szip",
                                        "compression_opts": ("nn", 4)}}[layout]
                    f.create_dataset(name, data=a.astype(a.dtype.newbyteorder(order)), **options)
                    if layout == "szip":
                        refused += 1
                    else:
                        expected[name] = golden.tensor(a, word)
        f[f"scalar.{code}"] = sample(code, (1,))[0]
        expected[f"scalar.{code}"] = golden.tensor(f[f"scalar.{code}"][()], word)
        f.create_dataset(f"empty.{code}", (0, 3), code)
        expected[f"empty.{code}"] = golden.tensor(np.zeros((0, 3), code), word)
    codes = np.arange(0, 65536, 37, dtype=np.uint16)
    with np.errstate(invalid="ignore"):
        values = codes.view(ml_dtypes.bfloat16).astype(np.float64)
    for order in "<>":
        space = h5py.h5s.create_simple(codes.shape)
        d = h5py.h5d.create(f.id, f"bf16{'le' if order == '<' else 'be'}".encode(), brain_type(order), space)
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, codes.astype(order + "u2"), mtype=brain_type(order))
        expected[f"bf16{'le' if order == '<' else 'be'}"] = golden.tensor(codes, "bf16", values)
    # Links inside the file, a circle of groups, never-written data.
    f["link/soft"] = h5py.SoftLink("/contiguous/f4le.2d")
    f["link/hard"] = f["contiguous/f4le.2d"]
    expected["link/soft"] = expected["link/hard"] = expected["contiguous/f4le.2d"]
    f["link/up"] = f["/"]
    f.create_dataset("unwritten", (4, 4), "f4")
    expected["unwritten"] = golden.tensor(np.zeros((4, 4), "f4"), "f32")
    f.create_dataset("filled", (4, 4), "f4", fillvalue=1.5, chunks=(2, 2))
    expected["filled"] = golden.tensor(np.full((4, 4), 1.5, "f4"), "f32")
    f.create_dataset("resizable", data=sample("f4", (5, 3)), maxshape=(None, 3), chunks=(2, 3))
    expected["resizable"] = golden.tensor(f["resizable"][()], "f32")
golden.write("hdf5_types.h5", expected, refused, metadata={"maker": "h5py"})

a = sample("f4", (6, 4))
with h5py.File("hdf5_block.h5", "w", userblock_size=1024) as f:
    f["contiguous"] = a
    f.create_dataset("gzip", data=a, compression="gzip")
golden.write("hdf5_block.h5", {"contiguous": golden.tensor(a, "f32"), "gzip": golden.tensor(a, "f32")})
with h5py.File("hdf5_latest.h5", "w", libver=("earliest", "v110")) as f:
    f["contiguous"] = a
    f.create_dataset("gzip", data=a, compression="gzip", maxshape=(None, None))
golden.write("hdf5_latest.h5", {"contiguous": golden.tensor(a, "f32"), "gzip": golden.tensor(a, "f32")})

# What is left out, each with a warning.
with h5py.File("hdf5_odd.h5", "w") as f:
    f["weight"] = a
    f["text"] = "text"
    f["texts"] = np.array(["a", "b"], object)
    f["records"] = np.zeros(2, [("a", "f4"), ("b", "i4")])
    f["complex"] = np.zeros(2, np.complex64)
    f.create_dataset("lists", (2,), h5py.vlen_dtype(np.float32))
    f["references"] = np.array([f["weight"].ref], h5py.ref_dtype)
    f["colours"] = np.zeros(2, h5py.enum_dtype({"red": 0, "blue": 1}, "u1"))
    f["opaque"] = np.zeros(2, "V5")
    f["null"] = h5py.Empty("f4")
    f["external"] = h5py.ExternalLink("hdf5_block.h5", "/contiguous")
    f["through"] = h5py.SoftLink("/external")
    f["nowhere"] = h5py.SoftLink("/none")
    f["circle"] = h5py.SoftLink("/circle")
    f.create_dataset("elsewhere", (6, 4), "f4", external=[("hdf5_elsewhere.raw", 0, 96)])
    layout = h5py.VirtualLayout((6, 4), "f4")
    layout[:] = h5py.VirtualSource("hdf5_block.h5", "contiguous", (6, 4))
    f.create_virtual_dataset("virtual", layout)
    f.create_dataset("bomb", (1_000_000, 1_000_000), "f4", chunks=(100, 100))
    f.create_dataset("bomb2", (1_000_000, 1_000_000), "f4")
    t = h5py.h5t.IEEE_F32LE.copy()
    t.set_fields(23, 15, 8, 0, 15)
    t.set_size(3)
    h5py.h5d.create(f.id, b"float24", t, h5py.h5s.create_simple((2,)))
for name in ("hdf5_elsewhere.raw",):
    if os.path.exists(name):
        os.remove(name)
golden.write("hdf5_odd.h5", {"weight": golden.tensor(a, "f32")}, warnings=18)

config = json.dumps({"class_name": "Sequential", "config": {"name": "sequential", "layers": [
    {"class_name": "Dense", "config": {"name": "dense", "units": 4}}]}})
k, b = sample("f4", (6, 4)), sample("f4", (4,))
with h5py.File("hdf5_keras2.h5", "w") as f:
    f.attrs["model_config"] = config
    f.attrs["keras_version"] = "2.15.0"
    f.attrs["backend"] = "tensorflow"
    g = f.create_group("model_weights")
    g.attrs["layer_names"] = [b"dense"]
    g.create_group("dense/dense")
    g["dense"].attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
    g["dense/dense/kernel:0"] = k
    g["dense/dense/bias:0"] = b
golden.write("hdf5_keras2.h5", {"model_weights/dense/dense/kernel:0": golden.tensor(k, "f32"),
                                "model_weights/dense/dense/bias:0": golden.tensor(b, "f32")},
             metadata={"keras_version": "2.15.0", "layout": "Keras: kernels are stored as [in, out], convolutions as [height, width, in, out]"},
             config=config)
with h5py.File("hdf5_keras3.weights.h5", "w") as f:
    f["layers/dense/vars/0"] = k
    f["layers/dense/vars/1"] = b
    f.create_group("vars")
golden.write("hdf5_keras3.weights.h5", {"layers/dense/vars/0": golden.tensor(k, "f32"), "layers/dense/vars/1": golden.tensor(b, "f32")},
             metadata={"layout": "Keras: kernels are stored as [in, out], convolutions as [height, width, in, out]"})

# Kernels in the order of Keras, under the names of Keras 3.15 in .h5 and .weights.h5 files.
w = golden.oriented()
kernels = {"dense": w["dense"].T, "recurrent": w["recurrent"].T, "conv": w["conv"].transpose(2, 3, 1, 0),
           "conv1d": w["conv1d"].transpose(2, 1, 0), "depthwise": w["depthwise"].reshape(4, 2, 3, 2).transpose(2, 3, 0, 1),
           "pointwise": w["pointwise"].transpose(2, 3, 1, 0), "transposed": w["transposed"].transpose(2, 3, 0, 1),
           "query": w["query"].T.reshape(12, 2, 4), "output": w["output"].T.reshape(2, 4, 12), "embedding": w["embedding"]}
classes = {"my_conv": "Conv2D", "block_dw": "DepthwiseConv2D", "upsample": "Conv2DTranspose", "separable": "SeparableConv2D"}
with h5py.File("oriented_keras.h5", "w") as f:
    f.attrs["keras_version"] = np.bytes_("3.15.1")
    f.attrs["model_config"] = np.bytes_(json.dumps({"class_name": "Functional", "config": {"name": "model", "layers": [
        {"class_name": kind, "config": {"name": name}} for name, kind in classes.items()]}}))
    for path, kernel in {"dense/dense/kernel": "dense", "embed_dense/embed_dense/kernel": "dense", "lstm/lstm/lstm_cell/recurrent_kernel": "recurrent",
                         "my_conv/my_conv/kernel": "conv", "conv1d/conv1d/kernel": "conv1d", "block_dw/block_dw/kernel": "depthwise",
                         "separable/separable/depthwise_kernel": "depthwise", "separable/separable/pointwise_kernel": "pointwise",
                         "upsample/upsample/kernel": "transposed", "mha/mha/query/kernel": "query",
                         "mha/mha/attention_output/kernel": "output", "embedding/embedding/embeddings": "embedding"}.items():
        f["model_weights/" + path] = kernels[kernel]
    f["model_weights/mha/mha/query/bias"] = np.zeros((2, 4), "f4")
    f["optimizer_weights/adam/dense_kernel_momentum"] = kernels["dense"]
with h5py.File("oriented_keras.weights.h5", "w") as f:
    for path, kernel in {"dense/vars/0": "dense", "lstm/cell/vars/1": "recurrent", "conv2d/vars/0": "conv", "conv1d/vars/0": "conv1d",
                         "depthwise_conv2d/vars/0": "depthwise", "separable_conv2d/vars/0": "depthwise",
                         "separable_conv2d/vars/1": "pointwise", "conv2d_transpose_1/vars/0": "transposed",
                         "multi_head_attention/query_dense/vars/0": "query", "multi_head_attention/output_dense/vars/0": "output",
                         "embedding/vars/0": "embedding"}.items():
        f["layers/" + path] = kernels[kernel]
    f["layers/multi_head_attention/query_dense/vars/1"] = np.zeros((2, 4), "f4")
    f["optimizer/vars/2"] = kernels["dense"]

# Every way in which bytes of chunks differ from elements, in shapes that chunks do not divide.
rng = np.random.default_rng(7)
expected = {}
with h5py.File("hdf5_chunks.h5", "w", libver=("earliest", "v110")) as f:
    for code, word in (("f4", "f32"), ("f8", "f64"), ("i2", "i16"), ("u1", "u8")):
        for order in "<>" if code != "u1" else "<":
            for shape, chunk in (((13, 11), (5, 4)), ((50,), (7,)), ((8, 11), (4, 11)), ((5, 7, 6), (2, 7, 4)), ((2, 3), (1, 1))):
                for filters, options in (("all", {"compression": 9, "shuffle": True, "fletcher32": True}), ("none", {}),
                                         ("gzip", {"compression": 1}), ("shuffle", {"shuffle": True})):
                    if (code != "f4" and shape != (13, 11)) or (filters != "all" and (order, shape) != (">", (5, 7, 6))
                                                                and (filters, shape) != ("none", (2, 3))):
                        continue
                    a = sample(code, shape)
                    name = f"{filters}/{code}{'le' if order == '<' else 'be'}.{'x'.join(map(str, shape))}by{'x'.join(map(str, chunk))}"
                    f.create_dataset(name, data=a.astype(a.dtype.newbyteorder(order)), chunks=chunk, **options)
                    expected[name] = golden.tensor(a, word)
    # Some chunks are never written; one is stored without its filters.
    for order in "<>":
        d = f.create_dataset(f"some.{'le' if order == '<' else 'be'}", (9, 10), order + "f4", chunks=(4, 3), compression="gzip",
                             fletcher32=True, fillvalue=-2.5)
        d[4:8, 3:6] = sample("f4", (4, 3))
        d[8, 9] = 7
        d.id.write_direct_chunk((0, 0), sample("f4", (4, 3)).astype(order + "f4").tobytes(), filter_mask=0b11)
    f.create_dataset("contiguous.unwritten", (3, 2), "i4", fillvalue=-9)
    expected["contiguous.unwritten"] = golden.tensor(np.full((3, 2), -9, "i4"), "i32")
    for order in "<>":  # so small that the header holds it
        create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        create.set_layout(h5py.h5d.COMPACT)
        a = sample("f4", (5, 3))
        name = f"compact.{'le' if order == '<' else 'be'}"
        d = h5py.h5d.create(f.id, name.encode(), h5py.h5t.py_create(np.dtype(order + "f4")), h5py.h5s.create_simple(a.shape), create)
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, a)
        expected[name] = golden.tensor(a, "f32")
    a = sample("f4", (40, 3))
    f.create_dataset("many", data=a, chunks=(1, 1), maxshape=(None, 3), compression="gzip")
    expected["many"] = golden.tensor(a, "f32")
    a = sample("f4", (40, 3))
    f.create_dataset("growing both ways", data=a, chunks=(3, 2), maxshape=(None, None))
    expected["growing both ways"] = golden.tensor(a, "f32")
with h5py.File("hdf5_chunks.h5") as f:  # the file that wrote a chunk directly cannot read it
    for name in ("some.le", "some.be"):
        expected[name] = golden.tensor(f[name][()].astype("<f4"), "f32")
golden.write("hdf5_chunks.h5", expected)
