// SPDX-License-Identifier: GPL-3.0-or-later
// Which token's probability the loss of a position is taken of: the one the text has, or one drawn from the model's own
// distribution. Thread-safe; equal for any thread count.
#pragma once

#include "core/model/evaluation/windows.h"

#include <functional>

namespace ql {

/// The label of a position of a window, given the model's probabilities there; −1: the position has no loss.
template<typename T>
using Labels =
    std::function<std::int64_t(std::int64_t window, std::int64_t position, std::span<const T> probabilities)>;

/// The token that follows in the text; the last position of a window has none. Refers to the windows.
template<typename T>
Labels<T> nextTokens(const Windows& windows)
{
    return [&windows](std::int64_t window, std::int64_t position, std::span<const T>) {
        return position + 1 < windows.length ? windows.window(window)[static_cast<std::size_t>(position + 1)] : -1;
    };
}

/// Drawn: the first token at which the sum of the probabilities passes u times their total, u being number `position`
/// of the stream `window` (core/base/rng.h).
template<typename T>
Labels<T> sampledLabels(std::uint64_t seed);

} // namespace ql
