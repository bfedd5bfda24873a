// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/transforms/smoothing.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace ql {

std::vector<double> smoothingFactors(const std::vector<double>& x, const std::vector<double>& w, double alpha)
{
    constexpr double kFloor = 1e-5;
    std::vector<double> s(x.size(), 1);
    for (std::size_t j = 0; j < s.size(); ++j)
        if (x[j] > 0 && std::isfinite(x[j]) && std::isfinite(w[j]))
            s[j] =
                std::max(kFloor, std::pow(std::max(x[j], kFloor), alpha) / std::pow(std::max(w[j], kFloor), 1 - alpha));
    return s;
}

std::vector<double> percentileFactors(const std::vector<double>& x, double share)
{
    std::vector<double> s(x.size(), 1);
    if (x.empty())
        return s;
    const auto rank = static_cast<std::size_t>(share * static_cast<double>(x.size()) + 1.5);
    std::vector<double> sorted = x;
    std::ranges::sort(sorted, std::greater());
    const double threshold = sorted[std::clamp<std::size_t>(rank, 1, x.size()) - 1];
    if (threshold > 0)
        std::ranges::transform(x, s.begin(), [&](double a) { return std::max(1.0, a / threshold); });
    return s;
}

std::vector<double> equalizingFactors(const std::vector<double>& made, const std::vector<double>& read)
{
    std::vector<double> s(made.size(), 1);
    for (std::size_t i = 0; i < s.size(); ++i)
        if (made[i] > 0 && read[i] > 0 && std::isfinite(made[i]) && std::isfinite(read[i]))
            s[i] = std::sqrt(made[i] / read[i]);
    return s;
}

std::vector<double> awqFactors(const std::vector<double>& rms, double alpha)
{
    std::vector<double> s(rms.size(), 1);
    double least = INFINITY;
    double most = 0;
    for (std::size_t j = 0; j < s.size(); ++j) {
        if (!(rms[j] > 0) || !std::isfinite(rms[j]))
            continue;
        s[j] = std::max(std::pow(rms[j], alpha), 1e-4);
        least = std::min(least, s[j]);
        most = std::max(most, s[j]);
    }
    if (!(most > 0))
        return s;
    const double middle = std::sqrt(least * most);
    for (std::size_t j = 0; j < s.size(); ++j)
        if (rms[j] > 0 && std::isfinite(rms[j]))
            s[j] /= middle;
    return s;
}

std::vector<double> middles(const std::vector<double>& min, const std::vector<double>& max)
{
    std::vector<double> z(min.size());
    std::ranges::transform(min, max, z.begin(), [](double a, double b) { return (a + b) / 2; });
    return z;
}

std::vector<double> thresholdFactors(const std::vector<double>& min, const std::vector<double>& max, double t)
{
    std::vector<double> s(min.size());
    std::ranges::transform(min, max, s.begin(), [t](double a, double b) { return std::max({1.0, b / t, -a / t}); });
    return s;
}

} // namespace ql
