// SPDX-License-Identifier: GPL-3.0-or-later
// What the gradients of a layer in one segment say, summed over windows on the way into a sink.
#pragma once

#include "core/calibration/layer_fisher.h"
#include "core/calibration/layer_loss_gram.h"
#include "core/model/evaluation/weight_use.h"
#include "core/model/model.h"

namespace ql {

class GradientSums {
public:
    virtual ~GradientSums() = default;
    /// Adds one window. Equal bits for any thread count on one CPU.
    virtual Result<void> add(std::span<const WeightUse<float>> uses, const JobContext& context) = 0;
    /// The piece to keep, with so much behind it; once, at the end. Rounding may draw from chance.
    virtual Result<std::vector<std::byte>> piece(std::int64_t windows, std::int64_t tokens, const CounterRng& chance,
                                                 const JobContext& context) = 0;
};

/// Of W[rows, columns] the Fisher diagonal; goes on from what was kept, or from zeros where it has no sums.
Result<std::unique_ptr<GradientSums>> fisherSums(LayerFisher kept, const JobContext& context);

/// The loss-weighted Gram matrix of the inputs of linear nodes, likewise.
Result<std::unique_ptr<GradientSums>> lossGramSums(LayerLossGram kept, const JobContext& context);

/// The Gram matrix of the gradients of their outputs, likewise.
Result<std::unique_ptr<GradientSums>> outputGramSums(LayerLossGram kept, const JobContext& context);

} // namespace ql
