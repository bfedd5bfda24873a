// SPDX-License-Identifier: GPL-3.0-or-later
// Which token follows, chosen from its logits.
#pragma once

#include "core/base/result.h"

#include <cstdint>
#include <span>

namespace ql {

struct Sampling {
    double temperature = 0; // 0: greedy, the largest logit, the first of equals
    std::int64_t topK = 0;  // of the most likely tokens only these many; 0: all
    double topP = 1;        // and only the fewest of these that reach this share of their probability
    std::uint64_t seed = 0;
};

/// An error unless temperature ≥ 0, topK ≥ 0 and 0 < topP ≤ 1.
Result<void> checkSampling(const Sampling& sampling);

/// One token of softmax(logits / temperature), drawn with the number `index` of the seed's stream: a pure function of
/// its arguments. Logits are finite.
std::int64_t sampleToken(std::span<const float> logits, const Sampling& sampling, std::uint64_t index);

} // namespace ql
