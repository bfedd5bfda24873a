// SPDX-License-Identifier: GPL-3.0-or-later
// Vector kernels of computeHistogram: the bin of each value, and counting.
#pragma once

#include <cstdint>

namespace ql {

/// Bins of equal width; the rule of histogram.h.
struct BinRule {
    double min = 0, max = 0;
    double width = 0;      // (max − min)/bins, rounded
    double perWidth = 0;   // bins/(max − min), rounded: the first guess
    std::int32_t bins = 0; // slots bins, bins + 1, bins + 2 count values below, above and non-finite ones

    BinRule(double minimum, double maximum, std::int32_t count);
    std::int32_t slots() const { return bins + 3; }
    double edge(std::int32_t bin) const;
    /// Whether neighbouring edges are so far apart that the first guess is wrong by at most one bin.
    bool guessable() const;
    /// The slot by binary search over the edges: right for any range.
    std::int32_t slotOf(double x) const;
};

/// Adds n values to two arrays of rule.slots() counters side by side, whose sum is the result; fewer than 2³² in all.
void countBins(const BinRule& rule, const float* values, std::int64_t n, std::uint32_t* counters);
void countBins(const BinRule& rule, const double* values, std::int64_t n, std::uint32_t* counters);

} // namespace ql
