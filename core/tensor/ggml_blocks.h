// SPDX-License-Identifier: GPL-3.0-or-later
// Decoding of GGUF block types to float, each product and sum rounded once in the order of the block layout's formula.
// Source: ggml's block layouts (type, block size and byte offsets as in the table of ggml_blocks.cpp).
#pragma once

#include "core/tensor/dtype.h"

namespace ql {

/// Decodes nBlocks whole blocks; dtype is a decodable GGUF block type.
void decodeGgmlBlocks(Dtype dtype, const std::byte* blocks, std::int64_t nBlocks, float* out);

} // namespace ql
