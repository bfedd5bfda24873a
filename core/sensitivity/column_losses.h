// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/analysis/column_bits.h"
#include "core/sensitivity/layer_sums.h"

namespace ql::metrics {

/// Bits of the columns whose losses stand for a layer.
constexpr int kReferenceBits = 3;

/// Σ ℓ_j of column_bits.h with equal levels at kReferenceBits; NaN where XᵀX is not known, or known by parts alone.
inline Result<double> columnLoss(const LayerInput& input, const JobContext& context)
{
    const std::int64_t cols = matrixShape(input.weights.shape).cols;
    const ActivationStatistics* inputs = input.activations;
    if (!inputs || inputs->in != cols || std::ssize(inputs->gram) != cols * cols || input.weights.numel() == 0)
        return std::numeric_limits<double>::quiet_NaN();
    QL_TRY(pass, uniformColumnPass(input.weights, *inputs, {.bits = kReferenceBits}, context));
    return pass.loss;
}

} // namespace ql::metrics
