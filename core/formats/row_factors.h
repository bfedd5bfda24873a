// SPDX-License-Identifier: GPL-3.0-or-later
// Rows of codes times a factor each, by their scales alone: codes and zero points stay, scales and minima are
// multiplied and rounded to the scheme's coding, so a row restores to its factor times what it was, within that
// rounding. It costs no bytes. Equal bits on any CPU and for any thread count.
#pragma once

#include "core/formats/quantized_tensor.h"

namespace ql {

/// Schemes with floating-point scales (f32, f16, bf16) of their own for each row, or for parts of it. Not powers of two
/// and ue4m3, which are too coarse, one scale for the tensor, casts, layouts over the whole matrix, and schemes with
/// additions.
bool takesRowFactors(const Scheme& scheme);

/// The tensor with its rows multiplied. Scales beyond the coding saturate; none becomes 0 that was not, unless it is
/// one of a packed block. Refused where the scheme takes no factors, or there are not as many, finite and above 0, as W
/// has rows.
Result<QuantizedTensor> withRowFactors(const QuantizedTensor& tensor, std::span<const float> factors,
                                       const JobContext& context);

} // namespace ql
