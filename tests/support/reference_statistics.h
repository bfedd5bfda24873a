// SPDX-License-Identifier: GPL-3.0-or-later
// The obvious two-pass statistics in long double, as the reference of the fast ones.
#pragma once

#include "core/analysis/statistics.h"

#include <cmath>
#include <vector>

namespace ql::test {

inline TensorStatistics referenceStatistics(const std::vector<double>& values)
{
    TensorStatistics s;
    s.count = static_cast<std::int64_t>(values.size());
    long double sum = 0;
    long double squares = 0;
    for (const double x : values) {
        s.nan += std::isnan(x) ? 1 : 0;
        s.inf += std::isinf(x) ? 1 : 0;
        s.zeros += x == 0 ? 1 : 0;
        if (!std::isfinite(x))
            continue;
        s.min = std::fmin(s.min, x);
        s.max = std::fmax(s.max, x);
        s.absmax = std::fmax(s.absmax, std::fabs(x));
        sum += static_cast<long double>(x);
        squares += static_cast<long double>(x) * static_cast<long double>(x);
    }
    if (s.finite() == 0)
        return s;
    const auto n = static_cast<long double>(s.finite());
    const long double mean = sum / n;
    long double m2 = 0;
    long double m4 = 0;
    for (const double x : values) {
        if (!std::isfinite(x))
            continue;
        const long double d = static_cast<long double>(x) - mean;
        m2 += d * d;
        m4 += d * d * d * d;
    }
    const bool constant = s.min == s.max;
    s.mean = constant ? s.min : static_cast<double>(mean);
    s.std = constant ? 0 : static_cast<double>(std::sqrt(m2 / n));
    s.l2 = static_cast<double>(std::sqrt(squares));
    if (!constant)
        s.kurtosis = static_cast<double>(n * m4 / (m2 * m2));
    return s;
}

} // namespace ql::test
