// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/windows.h"

#include <algorithm>
#include <string>

namespace ql {

Result<Windows> cutWindows(std::span<const std::int64_t> ids, std::int64_t length, std::int64_t limit,
                           std::optional<std::int64_t> bos)
{
    if (length < 2)
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

std::int64_t firstScored(std::int64_t length, Scored scored)
{
    return scored == Scored::all ? 1 : length / 2 + 1;
}

} // namespace ql
