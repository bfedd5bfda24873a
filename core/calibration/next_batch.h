// SPDX-License-Identifier: GPL-3.0-or-later
// Which windows of the text are run next where results continue earlier runs, and so need not all stand at the same
// window.
#pragma once

#include <algorithm>
#include <cstdint>
#include <ranges>
#include <vector>

namespace ql {

struct WindowRange {
    std::int64_t first = 0; // the number of windows when all are done
    std::int64_t after = 0;
};

/// From where the last result (of each segment, with the windows behind it) stands, at most batchWindows and not beyond
/// where it meets another.
template<typename Progress>
WindowRange nextBatch(const std::vector<std::vector<Progress>>& results, std::int64_t total, std::int64_t batchWindows)
{
    const auto all = std::views::join(results);
    std::int64_t first = total;
    for (const Progress& result : all)
        first = std::min(first, result.windows);
    std::int64_t after = std::min(total, first + batchWindows);
    for (const Progress& result : all)
        if (result.windows > first)
            after = std::min(after, result.windows);
    return {first, after};
}

} // namespace ql
