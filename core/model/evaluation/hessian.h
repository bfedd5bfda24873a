// SPDX-License-Identifier: GPL-3.0-or-later
// First and second derivatives of a language model's mean loss per token on windows of text, with respect to the
// weights of some layers. Weights, gradients and vectors are one long vector: layer after layer as asked, each
// row-major [out, in·…]. Equal bits for any thread count on one CPU.
#pragma once

#include "core/base/rng.h"
#include "core/model/evaluation/windows.h"
#include "core/model/graph/run.h"

namespace ql {

struct LossFunction {
    const graph::Graph& graph;
    const graph::WeightSource& weights;
    const Windows& windows; // each position but the last is scored by the token that follows
    std::vector<std::int64_t> layers;
};

/// ∂L/∂w, computed in T (float or double), summed in double.
template<typename T>
Result<std::vector<double>> lossGradient(const LossFunction& loss, const JobContext& context);

/// H·v by a central difference of gradients, (∇L(w + h·v) − ∇L(w − h·v))/2h with h = ∛η·(1 + ‖w‖)/‖v‖, η being T's
/// machine epsilon: rounding and truncation of the gradients' difference are then of one size. On a tiny model the
/// error relative to ‖H·v‖ is below 1e-6 in double and below 2e-2 in float. 0 for v = 0.
/// Float's step, 0.5 % of ‖w‖, is for directions that are spread over the weights, as probes of the trace are: along an
/// eigenvector of a large eigenvalue the loss is no parabola as far as that, and products are far too small. Take
/// double there.
template<typename T>
Result<std::vector<double>> hessianVectorProduct(const LossFunction& loss, std::span<const double> v,
                                                 const JobContext& context);

/// vᵀ·H·v by the same difference, of each layer the part Σ vᵢ·(H·v)ᵢ over its own weights, v being ±1 by bit 63 of
/// signs.bits(i). Neither v nor H·v is held.
Result<std::vector<double>> signedCurvature(const LossFunction& loss, const CounterRng& signs,
                                            const JobContext& context);

/// L(w + shift), computed in float, logarithms and their mean in double. An error where logits are not finite.
Result<double> lossAt(const LossFunction& loss, std::span<const double> shift, const JobContext& context);

/// ‖w‖₂.
Result<double> weightNorm(const LossFunction& loss, const JobContext& context);

/// How many weights there are.
Result<std::int64_t> weightCount(const LossFunction& loss, const JobContext& context);

} // namespace ql
