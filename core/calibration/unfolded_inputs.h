// SPDX-License-Identifier: GPL-3.0-or-later
// What a convolution multiplies by its weights, as rows: for each place of the output the patch of the input that its
// window covers, [channels · taps], zeros in the padding. So that with W as [out, in/groups · taps] and H = XᵀX of
// these rows the squared error of the output is Σ over groups tr(ΔW·H·ΔWᵀ), with a group's rows of W and its square
// block of H. The rows of each image follow one another in the order of places.
#pragma once

#include "core/model/graph/operator.h"

#include <functional>

namespace ql {

/// Groups of channels that see each other: `groups` of a convolution, all channels of a causal one over tokens. 0 where
/// the node is no convolution.
std::int64_t convolutionGroups(const graph::Node& node, const Shape& weights);

/// Hands the rows on in pieces of a multiple of 256 of them and about 16 MiB, one after the other.
Result<void> forUnfoldedInputs(const graph::Node& node, const Shape& weights, const graph::Array<float>& x,
                               const std::function<Result<void>(const graph::Array<float>& rows)>& take,
                               const JobContext& context);

} // namespace ql
