// SPDX-License-Identifier: GPL-3.0-or-later
// An order of channels by a number of each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace ql {

/// Of each part of `size` channels the largest first, equal ones as they are.
inline std::vector<std::int64_t> sortedInParts(const std::vector<double>& numbers, std::int64_t size)
{
    std::vector<std::int64_t> order(numbers.size());
    std::iota(order.begin(), order.end(), std::int64_t{0});
    for (auto part = order.begin(); part != order.end(); part += size)
        std::stable_sort(part, part + size, [&](std::int64_t a, std::int64_t b) {
            return numbers[static_cast<std::size_t>(a)] > numbers[static_cast<std::size_t>(b)];
        });
    return order;
}

} // namespace ql
