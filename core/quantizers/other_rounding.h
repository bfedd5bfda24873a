// SPDX-License-Identifier: GPL-3.0-or-later
// Rounding that is not to the nearest level with ties to the even code, for schemes that code weights one by one. With
// t = w/scale, (w − minimum)/scale or w/scale + zero, the two levels about it lo ≤ t < hi and f = (t − lo)/(hi − lo),
// computed in double:
//   halfAway   hi if f > ½, lo if f < ½; at ½ the one of larger magnitude: about zero points and minima, away from
//              those. Levels −l and l, whose middle is 0, leave the code as it was.
//   byChance   hi with probability f, else lo: E ŵ = w, Var ŵ = scale²·(hi − lo)²·f·(1 − f). A level itself is kept,
//              what lies beyond the outer levels gets the outer one.
// Source: Krishnamoorthi, Quantizing deep convolutional networks for efficient inference, 2018, section 2.3.
#pragma once

#include "core/quantizers/quantizer.h"

#include <optional>

namespace ql {

enum class OtherRounding { halfAway, byChance };

/// Codes the weights again under the scales that `coded` has. What is not finite, and runs with scale 0, keep their
/// codes. The chance of an element is a number of (seed, its place in the flattened matrix), so bits are equal for any
/// thread count. Not for casts, keep and packed.
Result<void> roundOtherwise(QuantizedTensor& coded, const TensorView& weights, OtherRounding rounding,
                            std::uint64_t seed, const JobContext& context);

} // namespace ql
