// SPDX-License-Identifier: GPL-3.0-or-later
// Loops of error feedback over the rows of a tile whose columns lie one after the other. Rows are a multiple of 16.
// Equal bits on one CPU; across CPUs products and sums may be fused.
#pragma once

#include <cstdint>

namespace ql {

/// values[r] += Σ_i factors[i·factorStride]·deltas[i·rows + r] for i in [0, count).
void addFeedback(const float* deltas, const float* factors, std::int64_t factorStride, std::int64_t count,
                 float* values, std::int64_t rows);

/// delta −= restored; returns Σ (values − restored)² in double.
double settleColumn(const float* values, const float* restored, float* delta, std::int64_t rows);

/// Σ x² in double.
double sumOfSquares(const float* x, std::int64_t n);

} // namespace ql
