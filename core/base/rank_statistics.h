// SPDX-License-Identifier: GPL-3.0-or-later
// How well one list of numbers tells another's order, −1…1. Lists have equal lengths; the result is NaN below two
// pairs, where a list is constant, and where a number is NaN. Sums are compensated. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ql {

/// Ranks from 1; equal values share the mean of theirs.
std::vector<double> averageRanks(std::span<const double> values);

/// Pearson's correlation: cov(x, y) ÷ √(var x · var y).
double pearson(std::span<const double> x, std::span<const double> y);
/// Pearson's correlation of the ranks, ties averaged (Spearman, 1904).
double spearman(std::span<const double> x, std::span<const double> y);
/// Kendall's τ-b, (concordant − discordant) ÷ √((pairs − ties in x)(pairs − ties in y)) (Kendall, 1945, §3). O(n²).
double kendall(std::span<const double> x, std::span<const double> y);

struct Interval {
    double low = 0;
    double high = 0;
};

struct BootstrapSettings {
    int draws = 1000;
    double level = 0.9; // share of the draws inside
    std::uint64_t seed = 1;
};

/// Percentile bootstrap over pairs (Efron, 1979): the middle `level` of the statistic over lists of pairs drawn with
/// replacement. Draws of which it is NaN are left out; NaN if none is left.
Interval bootstrapInterval(std::span<const double> x, std::span<const double> y,
                           double (*statistic)(std::span<const double>, std::span<const double>),
                           const BootstrapSettings& settings = {});

} // namespace ql
