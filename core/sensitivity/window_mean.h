// SPDX-License-Identifier: GPL-3.0-or-later
// The mean of a figure over windows of text and its standard error from their spread: tokens of one window are not
// independent, windows about are.
#pragma once

#include <vector>

namespace ql {

struct WindowMean {
    double value = 0;
    double standardError = 0; // infinite for one window
};
/// NaN of no window.
WindowMean meanOf(const std::vector<double>& windows);
/// Σ above / Σ below, each one number a window, its error to first order: that of the mean of above − ratio·below,
/// divided by the mean of below. 0 where both sums are 0.
WindowMean ratioOf(const std::vector<double>& above, const std::vector<double>& below);

} // namespace ql
