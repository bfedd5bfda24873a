// SPDX-License-Identifier: GPL-3.0-or-later
// Σ over rows r of a_r·ΔW_r·H·ΔW_rᵀ, ΔW = W − Ŵ: what moves outputs whose inputs are correlated, each output as heavy
// as it is said. By blocks of rows: at most 64 MiB of differences at a time. Equal bits for any thread count on one
// CPU.
#pragma once

#include "core/sensitivity/metric.h"

namespace ql::metrics {

/// Of rows [begin, end); H[in, in] symmetric and positive semidefinite. rowWeights, all ≥ 0, is of these rows; empty:
/// ones.
Result<double> quadraticError(const MetricInput& input, std::int64_t begin, std::int64_t end, const double* h,
                              std::span<const double> rowWeights, const JobContext& context);

/// tr(W·H·Wᵀ) = ‖X·Wᵀ‖² of the weights themselves, H = XᵀX, the energy of the layer's output. Ranges of rows that see
/// inputs of their own have their own H; nothing is added for those that saw none. NaN where H is not known.
Result<double> outputEnergy(const TensorView& weights, const ActivationStatistics* inputs, const JobContext& context);

} // namespace ql::metrics
