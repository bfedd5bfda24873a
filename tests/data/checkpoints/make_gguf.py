# SPDX-License-Identifier: GPL-3.0-or-later
# Writes the gguf_* files here. Needs gguf 0.19.
import os
import struct

import gguf
import numpy as np

import golden

os.chdir(os.path.dirname(os.path.abspath(__file__)))
rng = np.random.default_rng(7)
Q = gguf.GGMLQuantizationType

WORDS = {Q.F64: "f64", Q.F32: "f32", Q.F16: "f16", Q.BF16: "bf16", Q.I8: "i8", Q.I16: "i16", Q.I32: "i32", Q.I64: "i64"}
PLAIN = {Q.F64: np.float64, Q.F32: np.float32, Q.F16: np.float16, Q.I8: np.int8, Q.I16: np.int16, Q.I32: np.int32, Q.I64: np.int64}
BLOCKS = [Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K, Q.IQ4_NL, Q.IQ4_XS, Q.TQ1_0, Q.TQ2_0,
          Q.MXFP4, Q.NVFP4]
GRIDS = [Q.IQ1_S, Q.IQ1_M, Q.IQ2_XXS, Q.IQ2_XS, Q.IQ2_S, Q.IQ3_XXS, Q.IQ3_S]
LONG = ["a", "bb", "", "é", "dddd", "e", "f", "g", "h", "i"]
METADATA = {
    "general.architecture": "llama", "general.name": "tiny", "t.u8": "200", "t.i8": "-3", "t.u16": "60000", "t.i16": "-300",
    "t.u32": "4000000000", "t.i32": "-70000", "t.f32": "1e-05", "t.bool": "true", "t.u64": "18446744073709551615",
    "t.i64": "-9007199254740993", "t.f64": "0.1", "t.texts": "[a, bb, , é, dddd, e, f, g, … 10 in all]", "t.ints": "[1, 2, 3]",
    "t.bools": "[true, false]", "llama.block_count": "1", "llama.attention.head_count": "4",
    "llama.embedding_length": "256",
}


def start(path):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_uint8("t.u8", 200)
    writer.add_int8("t.i8", -3)
    writer.add_uint16("t.u16", 60000)
    writer.add_int16("t.i16", -300)
    writer.add_uint32("t.u32", 4000000000)
    writer.add_int32("t.i32", -70000)
    writer.add_float32("t.f32", 1e-5)
    writer.add_bool("t.bool", True)
    writer.add_uint64("t.u64", 2**64 - 1)
    writer.add_key_value("t.i64", -9007199254740993, gguf.GGUFValueType.INT64)
    writer.add_float64("t.f64", 0.1)
    writer.add_array("t.texts", LONG)
    writer.add_array("t.ints", [1, 2, 3])
    writer.add_array("t.bools", [True, False])
    writer.add_block_count(1)
    writer.add_head_count(4)
    writer.add_embedding_length(256)
    return writer


def finish(writer, path):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_blocks(writer, name, kind, rows):
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    width = 256 // elements * size
    raw = rng.integers(0, 64, (rows, width), dtype=np.uint8)  # high bytes below 64 keep every f16 scale finite
    writer.add_tensor(name, raw, raw_dtype=kind)
    return raw


wanted = {}
writer = start("gguf_all.gguf")
for kind, dtype in PLAIN.items():
    for shape in ((3, 4), (2, 3, 4), (5,), (2, 1, 3, 2)):
        a = rng.integers(-100, 100, shape).astype(dtype) if kind.name.startswith("I") else rng.standard_normal(shape).astype(dtype)
        name = f"{WORDS[kind]}.{'x'.join(map(str, shape))}"
        writer.add_tensor(name, a, raw_dtype=kind)
        wanted[name] = golden.tensor(a, WORDS[kind], a)
bits = rng.integers(0, 1 << 15, (2, 8), dtype=np.uint16)
writer.add_tensor("bf16.2x8", bits.view(np.uint8), raw_dtype=Q.BF16)
wanted["bf16.2x8"] = golden.tensor(bits, "bf16", (bits.astype(np.uint32) << 16).view(np.float32))
for kind in BLOCKS:
    raw = add_blocks(writer, kind.name.lower(), kind, 2)
    values = gguf.dequantize(raw, kind)
    entry = golden.tensor(raw, kind.name.lower(), values)
    entry["shape"] = list(values.shape)
    wanted[kind.name.lower()] = entry
finish(writer, "gguf_all.gguf")
golden.write("gguf_all.gguf", wanted, metadata=METADATA)

# Version 2 has the same layout.
whole = bytearray(open("gguf_all.gguf", "rb").read())
whole[4:8] = struct.pack("<I", 2)
open("gguf_v2.gguf", "wb").write(whole)
for entry in wanted.values():
    entry.pop("values", None)
golden.write("gguf_v2.gguf", wanted, metadata=METADATA)

# Codebook-grid types. Another alignment, and no tensor at the end of the file.
wanted = {}
writer = start("gguf_grids.gguf")
writer.add_custom_alignment(64)
for kind in GRIDS:
    raw = add_blocks(writer, f"blk.0.{kind.name.lower()}", kind, 3)
    entry = golden.tensor(raw, kind.name.lower(), gguf.dequantize(raw, kind))
    entry["shape"] = [3, 256]
    wanted[f"blk.0.{kind.name.lower()}"] = entry
finish(writer, "gguf_grids.gguf")
golden.write("gguf_grids.gguf", wanted, metadata={**METADATA, "general.alignment": "64"})
