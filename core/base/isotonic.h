// SPDX-License-Identifier: GPL-3.0-or-later
// Isotonic regression: of all functions that do not fall, the one with the least Σ weight·(y − f(x))². By pooling
// adjacent violators, O(n log n). Pure.
// Source: Barlow et al., Statistical Inference under Order Restrictions, 1972.
#pragma once

#include <span>
#include <vector>

namespace ql {

struct WeightedPoint {
    double x = 0, y = 0;
    double weight = 1; // > 0
};

/// The levels of the fit, each at the weighted mean of its points' x: x rises, and y with it. Points in any order, all
/// finite; none: no levels.
std::vector<WeightedPoint> isotonicLevels(std::vector<WeightedPoint> points);

/// The levels joined by straight lines; level outside of them. There is at least one.
double interpolated(std::span<const WeightedPoint> levels, double x);

} // namespace ql
