// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/ranked_levels.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ql {

std::size_t lowCount(std::size_t count, double lowBits, double highBits, double meanBits)
{
    const double low = std::ceil(static_cast<double>(count) * (highBits - meanBits) / (highBits - lowBits) - 1e-9);
    return static_cast<std::size_t>(std::clamp(low, 0.0, static_cast<double>(count)));
}

std::vector<std::size_t> byImportance(std::span<const double> importance)
{
    std::vector<std::size_t> order(importance.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return importance[a] > importance[b]; });
    return order;
}

std::vector<bool> highLevels(std::span<const double> importance, std::size_t k)
{
    std::vector<bool> high(importance.size(), true);
    const std::vector<std::size_t> order = byImportance(importance);
    for (std::size_t i = order.size() - std::min(k, order.size()); i < order.size(); ++i)
        high[order[i]] = false;
    return high;
}

} // namespace ql
