#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes blocks.bin: for every GGUF block type random blocks and the floats gguf-py restores from them.

Needs: pip install gguf==0.19.0 numpy==2.4.6
Layout, little-endian, repeated: u32 ggml type, u32 blocks, bytes of the blocks, float32 values. gguf-py 0.19 has no code
for q1_0 and q2_0; the two functions below state ggml's dequantize_row_q1_0 and _q2_0.
"""
import pathlib
import struct

import gguf
import numpy as np

BLOCKS = 12
# type, elements, bytes, byte offsets of its f16 scales
TYPES = {
    2: (32, 18, [0]), 3: (32, 20, [0, 2]), 6: (32, 22, [0]), 7: (32, 24, [0, 2]), 8: (32, 34, [0]),
    10: (256, 84, [80, 82]), 11: (256, 110, [108]), 12: (256, 144, [0, 2]), 13: (256, 176, [0, 2]), 14: (256, 210, [208]),
    20: (32, 18, [0]), 23: (256, 136, [0]), 34: (256, 54, [52]), 35: (256, 66, [64]), 39: (32, 17, []), 40: (64, 36, []),
    41: (128, 18, [0]), 42: (64, 18, [0]), 19: (256, 50, [0]), 29: (256, 56, []), 16: (256, 66, [0]), 17: (256, 74, [0]),
    22: (256, 82, [0]), 18: (256, 98, [0]), 21: (256, 110, [0]),
}
# Scales that random bits would rarely hit: zeros, subnormals, the largest, infinity. NaN payloads are not compared.
SPECIAL = [0x0000, 0x8000, 0x0001, 0x83FF, 0x7BFF, 0xFBFF, 0x7C00]


def q1_0(blocks):
    d = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    bits = np.unpackbits(blocks[:, 2:], axis=1, bitorder="little")
    return np.where(bits != 0, d, -d).astype(np.float32)


def q2_0(blocks):
    d = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    codes = (blocks[:, 2:, None] >> np.array([0, 2, 4, 6], dtype=np.uint8)) & np.uint8(3)
    return d * (codes.reshape(len(blocks), -1).astype(np.int8) - np.int8(1)).astype(np.float32)


def main():
    rng = np.random.default_rng(20240917)
    out = bytearray()
    for kind, (elements, size, scales) in TYPES.items():
        blocks = rng.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
        for at in scales:
            bits = rng.integers(0, 1 << 16, BLOCKS, dtype=np.uint16)
            bits = np.where((bits & 0x7C00) == 0x7C00, bits & 0xBFFF, bits)  # finite
            bits[: len(SPECIAL)] = np.roll(SPECIAL, at)
            blocks[:, at : at + 2] = bits.astype("<u2").view(np.uint8).reshape(-1, 2)
        if kind == 39:
            blocks[:6, 0] = [0, 1, 2, 127, 254, 255]
        if kind == 40:
            blocks[:2, :4] = [[0, 0x7F, 0x80, 0xFF], [1, 7, 8, 0x7E]]
        with np.errstate(all="ignore"):
            if kind == 41:
                values = q1_0(blocks)
            elif kind == 42:
                values = q2_0(blocks)
            else:
                values = gguf.dequantize(blocks, gguf.GGMLQuantizationType(kind))
        values = np.ascontiguousarray(values, dtype="<f4")
        assert values.size == BLOCKS * elements
        out += struct.pack("<II", kind, BLOCKS) + blocks.tobytes() + values.tobytes()
    pathlib.Path(__file__).with_name("blocks.bin").write_bytes(out)


main()
