// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/windows.h"

#include "core/base/rng.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace ql {

Result<Windows> cutWindows(std::span<const std::int64_t> ids, std::int64_t length, std::int64_t limit,
                           std::optional<std::int64_t> bos)
{
    if (length < kShortestWindow)
        return usageError("a window of " + std::to_string(length) + " tokens has nothing to predict; take 2 or more");
    std::int64_t count = std::ssize(ids) / length;
    if (count == 0)
        return usageError("the text has " + std::to_string(ids.size()) + " tokens, less than one window of " +
                          std::to_string(length) + "; give more text or a smaller context");
    if (limit > 0)
        count = std::min(count, limit);
    Windows windows{length, {ids.begin(), ids.begin() + count * length}};
    if (bos)
        for (std::int64_t i = 0; i < count; ++i)
            windows.ids[static_cast<std::size_t>(i * length)] = *bos;
    return windows;
}

MaskedWindows maskTokens(Windows windows, std::int64_t mask, std::span<const std::int64_t> kept, double share,
                         std::uint64_t seed)
{
    MaskedWindows masked{std::move(windows), {}};
    std::vector<std::int64_t>& ids = masked.windows.ids;
    const std::int64_t length = masked.windows.length;
    masked.answers.assign(ids.size(), -1);
    const std::int64_t hidden = std::max<std::int64_t>(1, std::llround(share * static_cast<double>(length)));
    for (std::int64_t w = 0; w < masked.windows.count(); ++w) {
        const CounterRng rng(seed, static_cast<std::uint64_t>(w));
        std::vector<std::int64_t> places;
        for (std::int64_t i = w * length; i < (w + 1) * length; ++i)
            if (std::ranges::find(kept, ids[static_cast<std::size_t>(i)]) == kept.end())
                places.push_back(i);
        std::ranges::sort(places, {}, [&](std::int64_t place) { return rng.bits(static_cast<std::uint64_t>(place)); });
        places.resize(std::min(places.size(), static_cast<std::size_t>(hidden)));
        for (const std::int64_t place : places)
            masked.answers[static_cast<std::size_t>(place)] = std::exchange(ids[static_cast<std::size_t>(place)], mask);
    }
    return masked;
}

std::int64_t firstScored(std::int64_t length, Scored scored)
{
    return scored == Scored::all ? 1 : length / 2 + 1;
}

Result<std::int64_t> scoredPerWindow(std::int64_t length, Scored scored)
{
    const std::int64_t count = length - firstScored(length, scored);
    if (count < 1)
        return usageError("no token in the second half of a window of " + std::to_string(length) +
                          " is scored; take a context of 3 or more, or score every token");
    return count;
}

} // namespace ql
