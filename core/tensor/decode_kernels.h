// SPDX-License-Identifier: GPL-3.0-or-later
// Vector kernels of decode(): n elements at a possibly unaligned address. Equal bits on every compiled target. NaN:
// bf16 and f32 to float keep every bit; f16, and whatever becomes double, keep sign and payload and become quiet; f8
// become the quiet NaN without payload, with their sign.
#pragma once

#include "core/tensor/dtype.h"

namespace ql {

/// Whether decodeVector knows the type: f32, f16, bf16, f8_e4m3, f8_e5m2, i8, u8, i16, u16.
bool hasVectorDecode(Dtype dtype);
void decodeVector(Dtype dtype, const std::byte* data, std::int64_t n, float* out);
void decodeVector(Dtype dtype, const std::byte* data, std::int64_t n, double* out);

} // namespace ql
