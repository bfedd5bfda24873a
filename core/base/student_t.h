// SPDX-License-Identifier: GPL-3.0-or-later
// Student's t distribution, for intervals from few values. Errors below 1e-9 (of quantiles relative) for 0.5 to 10⁶
// degrees of freedom and probabilities from 1e-6 to 1 − 1e-6.
#pragma once

namespace ql {

/// P(T ≤ t); degrees > 0. By the incomplete beta function's continued fraction (DLMF 8.17.22).
double studentProbability(double t, double degrees);
/// The t of which studentProbability is p, 0 < p < 1. By bisection.
double studentQuantile(double p, double degrees);

} // namespace ql
