// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/window_mean.h"

#include "core/base/sum.h"

#include <cmath>
#include <limits>

namespace ql {

WindowMean meanOf(const std::vector<double>& windows)
{
    const auto n = static_cast<double>(windows.size());
    CompensatedSum sum;
    for (const double window : windows)
        sum.add(window);
    const double mean = sum.value() / n;
    CompensatedSum squares;
    for (const double window : windows)
        squares.add((window - mean) * (window - mean));
    return {.value = mean,
            .standardError = windows.size() < 2 ? std::numeric_limits<double>::infinity()
                                                : std::sqrt(squares.value() / (n - 1) / n)};
}

} // namespace ql
