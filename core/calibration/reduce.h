// SPDX-License-Identifier: GPL-3.0-or-later
// From an entry of an activation file to statistics. Two passes over X: finite values, ranges and per-channel extremes;
// then histogram and XᵀX, in blocks of 1024 rows. Equal bits for any thread count on one CPU.
#pragma once

#include "core/calibration/activations.h"

namespace ql {

inline constexpr std::int64_t kActivationBins = 2048;

/// How many inputs a layer has; 0 if it has no rows or is no matrix.
std::int64_t inputsOf(const Layer& layer);

/// X[rows, in]: the leading dimensions of the view are one. Errors name no place.
Result<ActivationStatistics> reduceInputs(const TensorView& x, std::int64_t in, const JobContext& context);

/// The mean of each column of X, likewise.
Result<std::vector<double>> meansOfInputs(const TensorView& x, std::int64_t in, const JobContext& context);

/// The view as XᵀX[in, in] if it is one: symmetric up to rounding, with no negative diagonal element. Nothing if not.
Result<std::optional<ActivationStatistics>> asGram(const TensorView& view, const JobContext& context);

} // namespace ql
