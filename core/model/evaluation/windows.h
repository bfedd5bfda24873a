// SPDX-License-Identifier: GPL-3.0-or-later
// Token ids cut into windows that are computed each on its own, and which of their tokens are scored.
#pragma once

#include "core/base/result.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ql {

/// Which tokens of a window are scored: all that have one before them, or those whose context is at least half a window
/// (llama-perplexity's rule: positions n/2 + 1 … n − 1).
enum class Scored { all, secondHalf };

/// Tokens; one less has nothing to predict.
constexpr std::int64_t kShortestWindow = 2;

struct Windows {
    std::int64_t length = 0;       // tokens in each window
    std::vector<std::int64_t> ids; // [count, length]
    std::int64_t count() const { return length > 0 ? std::ssize(ids) / length : 0; }
    std::span<const std::int64_t> window(std::int64_t i) const
    {
        return std::span(ids).subspan(static_cast<std::size_t>(i * length), static_cast<std::size_t>(length));
    }
    /// How many windows go through a segment of a model together: their activations are in memory at once.
    std::int64_t perGroup() const { return std::max<std::int64_t>(1, 4096 / length); }
    /// The ids of the group that begins with that window.
    std::span<const std::int64_t> group(std::int64_t first) const
    {
        const std::int64_t size = std::min(perGroup(), count() - first) * length;
        return std::span(ids).subspan(static_cast<std::size_t>(first * length), static_cast<std::size_t>(size));
    }
};

/// The first `limit` (0: all) whole windows of a text's ids; the rest is dropped. With `bos` each window's first token
/// is replaced by it, as llama-perplexity does. An error if there is not one window.
Result<Windows> cutWindows(std::span<const std::int64_t> ids, std::int64_t length, std::int64_t limit,
                           std::optional<std::int64_t> bos = {});

/// Tokens hidden from a masked language model, and what they were.
struct MaskedWindows {
    Windows windows;                   // with the mask token in their place
    std::vector<std::int64_t> answers; // like the ids; −1 where nothing is hidden
};
/// Hides round(share · length) tokens of each window, at least one, drawn by the seed from those that are not among
/// `kept` ([CLS], [SEP], …).
MaskedWindows maskTokens(Windows windows, std::int64_t mask, std::span<const std::int64_t> kept, double share,
                         std::uint64_t seed);

/// Position in a window of the first token that is scored.
std::int64_t firstScored(std::int64_t length, Scored scored);
/// How many tokens of a window are scored; an error if none is.
Result<std::int64_t> scoredPerWindow(std::int64_t length, Scored scored);

} // namespace ql
