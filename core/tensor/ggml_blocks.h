// SPDX-License-Identifier: GPL-3.0-or-later
// Decoding of GGUF block types to float, each product and sum rounded once in the order of the block layout's formula.
// Source: ggml's block layouts (type, block size and byte offsets as in the table of ggml_blocks.cpp).
#pragma once

#include "core/tensor/dtype.h"

#include <array>

namespace ql {

/// Levels of IQ4_NL and IQ4_XS by code, and twice those of E2M1, as MXFP4 and NVFP4 have them.
constexpr std::array<float, 16> kIq4Levels{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr std::array<float, 16> kE2m1DoubledLevels{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/// Decodes nBlocks whole blocks; dtype is a GGUF block type.
void decodeGgmlBlocks(Dtype dtype, const std::byte* blocks, std::int64_t nBlocks, float* out);

} // namespace ql
