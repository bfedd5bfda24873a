// SPDX-License-Identifier: GPL-3.0-or-later
// The threshold of Outlier Suppression+ from ranges and norms of columns (os_plus.cpp has the formula). O(channels) for
// each of its steps.
#pragma once

#include "core/base/result.h"
#include "core/jobs/job_context.h"

#include <cstdint>
#include <vector>

namespace ql {

struct ThresholdSearch {
    std::vector<double> min, max;      // of the inputs, per channel
    std::vector<double> inputSquares;  // E[x_j²]
    std::vector<double> weightSquares; // Σ over rows of W_j²
    std::vector<double> largestWeights;
    std::int64_t rows = 0;
    double bits = 8;

    /// Takes z from the ranges, and from the squares as if it were the mean: at most those of a channel that is even
    /// over its range.
    void shift(const std::vector<double>& z);
    /// The predicted error of the outputs for each token.
    double error(double t) const;
    /// The threshold with the least error; A, which changes nothing, where none is better.
    Result<double> best(double least, const JobContext& context) const;
    /// The largest magnitude.
    double largest() const;
};

} // namespace ql
