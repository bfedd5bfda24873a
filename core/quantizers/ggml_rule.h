// SPDX-License-Identifier: GPL-3.0-or-later
// Blocks of GGUF types as ggml's reference code rounds them, bit for bit: the signed weight of largest magnitude (the
// first of equals) becomes code 0 of Q4_0 and Q5_0, quotients are multiplied by the float inverse of the unrounded
// scale and rounded half up (Q8_0: half away from zero).
// Where ggml's own result would be undefined: NaN counts as 0, infinities saturate, scales beyond f16 are 65504.
// Source: ggml, src/ggml-quants.c, quantize_row_q*_ref.
#pragma once

#include "core/quantizers/quantizer.h"

namespace ql {

/// Whether the scheme is one of gguf:q4_0, q4_1, q5_0, q5_1 and q8_0: codes with a scale for 32 weights.
bool isGgufScheme(const Scheme& scheme);

Result<QuantizedTensor> quantizeLikeGgml(const QuantizeTask& task, const JobContext& context);

} // namespace ql
