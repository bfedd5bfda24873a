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

WindowMean ratioOf(const std::vector<double>& above, const std::vector<double>& below)
{
    const double divisor = meanOf(below).value;
    const double dividend = meanOf(above).value;
    if (divisor == 0 && dividend == 0)
        return {};
    const double ratio = dividend / divisor;
    std::vector<double> rest = above;
    for (std::size_t i = 0; i < rest.size(); ++i)
        rest[i] -= ratio * below[i];
    return {.value = ratio, .standardError = meanOf(rest).standardError / divisor};
}

} // namespace ql
