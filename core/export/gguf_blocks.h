// SPDX-License-Identifier: GPL-3.0-or-later
// Packs codes, scales and minima into GGUF blocks of 32: d (f16), [m (f16)], [fifth bits (u32)], codes.
#pragma once

#include "core/formats/quantized_tensor.h"

namespace ql::ggufout {

/// Packs blocks [first, last) of a tensor under gguf:q4_0 … gguf:q8_0 to out.
void packBlocks(const QuantizedTensor& tensor, Dtype type, std::int64_t first, std::int64_t last, std::byte* out);

} // namespace ql::ggufout
