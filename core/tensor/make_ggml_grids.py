#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes ggml_grids.cpp: the codebook grids of GGUF's IQ types, which are facts of the format, from the gguf package.

Needs: pip install gguf==0.19.0 numpy
    python make_ggml_grids.py
"""
import pathlib

import gguf.quants as quants
import numpy as np

NOTICE = """// SPDX-License-Identifier: GPL-3.0-or-later
// Written by make_ggml_grids.py from gguf/quants.py of the Python package gguf 0.19.0, whose licence is:
//   MIT License. Copyright (c) 2023 Georgi Gerganov
//   Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
//   documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
//   rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to
//   permit persons to whom the Software is furnished to do so, subject to the following conditions:
//   The above copyright notice and this permission notice shall be included in all copies or substantial portions of
//   the Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
//   LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT
//   SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF
//   CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS
//   IN THE SOFTWARE.
#include "core/tensor/ggml_grids.h"

namespace ql {

// clang-format off
"""
GRIDS = {"Iq1": quants.IQ1_S, "Iq2Xxs": quants.IQ2_XXS, "Iq2Xs": quants.IQ2_XS, "Iq2S": quants.IQ2_S,
         "Iq3Xxs": quants.IQ3_XXS, "Iq3S": quants.IQ3_S}


def main():
    signs = np.frombuffer(quants.IQ2_XXS.ksigns, dtype=np.uint8)
    assert all(s == i | (bin(i).count("1") & 1) << 7 for i, s in enumerate(signs))  # evenSigns() in the header
    text = NOTICE
    for name, kind in GRIDS.items():
        kind.init_grid()
        points = kind.grid.reshape(kind.grid_shape).astype(int)
        assert sorted(kind.grid_map) == list(kind.grid_map)
        bits = 16 // kind.grid_shape[1]
        words = [sum(kind.grid_map.index(level) << bits * j for j, level in enumerate(point)) for point in points]
        values = [f"0x{word:04x}" for word in words]
        text += f"const std::array<std::uint16_t, {len(words)}> k{name}Grid{{\n"
        for at in range(0, len(values), 15):
            text += "    " + ", ".join(values[at:at + 15]) + ",\n"
        text = text[:-2] + "};\n"
    text += "// clang-format on\n\n} // namespace ql\n"
    pathlib.Path(__file__).with_name("ggml_grids.cpp").write_text(text)


main()
