// SPDX-License-Identifier: GPL-3.0-or-later
// What a runtime's rounding of the inputs of a layer does to a loss, to first order: with y = W·x and the gradient dy
// of the loss, rounding x to r(x) adds p = Σ over tokens of ⟨Wᵀ·dy, r(x) − x⟩. Where the loss is that of labels drawn
// from the model, ½·E[p²] is its KLD to second order, as of a change of the weights (gradient_probe.h).
#pragma once

#include "core/model/evaluation/weight_use.h"
#include "core/realize/runtime_activations.h"

namespace ql {

/// p of each rounding, over all uses of linear nodes; others have no rounded inputs. `weights` are the layer's as they
/// are stored, of dW's shape; roundings are not null. Equal bits for any thread count on one CPU.
Result<std::vector<double>> roundingProducts(std::span<const WeightUse<float>> uses, const graph::Array<float>& weights,
                                             std::span<const Runtime::Round> roundings, const JobContext& context);

} // namespace ql
