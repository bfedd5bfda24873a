#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes one importance matrix in both of llama.cpp's forms, for the tiny model ../frontends/mixtral.

    python make_imatrix.py

Channel i of matrix m has the mean square (m + 1)·(i + 1) / 8. No token went to expert 1: sums of 0 in new.gguf, ones in
old.dat, as llama-imatrix writes them. Needs gguf 0.19.
"""
import pathlib
import struct

import gguf
import numpy as np

HERE = pathlib.Path(__file__).parent
DATASET, CHUNKS, CHUNK_SIZE = "calibration.txt", 2, 512
# name: inputs, tokens of each matrix
ENTRIES = {
    "blk.0.attn_q.weight": (20, [1000]),
    "blk.0.attn_output.weight": (24, [1000]),
    "blk.0.ffn_gate_inp.weight": (20, [1000]),
    "blk.1.ffn_down_exps.weight": (9, [600, 0, 400]),
    "blk.1.ffn_gate_exps.weight": (20, [600, 0, 400]),
}


def means(width, counts):
    return np.outer(np.arange(1, len(counts) + 1), np.arange(1, width + 1)).astype(np.float32) / 8


def write_gguf(path):
    writer = gguf.GGUFWriter(path, "")
    writer.kv_data[0].clear()  # a file without architecture
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", [DATASET])
    writer.add_uint32("imatrix.chunk_count", CHUNKS)
    writer.add_uint32("imatrix.chunk_size", CHUNK_SIZE)
    for name, (width, counts) in sorted(ENTRIES.items()):
        column = np.array(counts, dtype=np.float32)[:, None]
        writer.add_tensor(f"{name}.in_sum2", means(width, counts) * column)
        writer.add_tensor(f"{name}.counts", column)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def text(value):
    return struct.pack("<i", len(value)) + value.encode()


def write_old(path):
    out = struct.pack("<i", len(ENTRIES))
    for name, (width, counts) in sorted(ENTRIES.items()):
        calls = -(-max(counts) // CHUNK_SIZE)
        values = np.where(np.array(counts)[:, None] > 0, means(width, counts), 1) * calls
        out += text(name) + struct.pack("<ii", calls, values.size) + values.astype("<f4").tobytes()
    path.write_bytes(out + struct.pack("<i", CHUNKS) + text(DATASET))


if __name__ == "__main__":
    write_gguf(HERE / "new.gguf")
    write_old(HERE / "old.dat")
