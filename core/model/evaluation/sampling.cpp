// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/sampling.h"

#include "core/base/rng.h"
#include "core/model/graph/vector_math.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace ql {

Result<void> checkSampling(const Sampling& sampling)
{
    if (!(sampling.temperature >= 0 && std::isfinite(sampling.temperature)) || sampling.topK < 0 ||
        !(sampling.topP > 0 && sampling.topP <= 1))
        return usageError("a temperature is 0 or more, top-k 0 or more, top-p above 0 and at most 1");
    return {};
}

std::int64_t sampleToken(std::span<const float> logits, const Sampling& sampling, std::uint64_t index)
{
    const auto largest = static_cast<std::size_t>(graph::largest(logits.data(), std::ssize(logits)));
    if (sampling.temperature == 0)
        return static_cast<std::int64_t>(largest);
    std::vector<double> weights(logits.size());
    std::ranges::transform(logits, weights.begin(), [&](float x) {
        return std::exp((static_cast<double>(x) - static_cast<double>(logits[largest])) / sampling.temperature);
    });
    std::vector<std::size_t> tokens(logits.size());
    std::iota(tokens.begin(), tokens.end(), std::size_t{0});
    if (sampling.topK > 0 || sampling.topP < 1) {
        std::ranges::sort(tokens, [&](std::size_t a, std::size_t b) {
            return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
        });
        if (sampling.topK > 0)
            tokens.resize(std::min(tokens.size(), static_cast<std::size_t>(sampling.topK)));
    }
    const auto total = [&] {
        return std::accumulate(tokens.begin(), tokens.end(), 0.0,
                               [&](double sum, std::size_t token) { return sum + weights[token]; });
    };
    if (sampling.topP < 1) {
        const double wanted = sampling.topP * total();
        double sum = 0;
        const auto enough = std::ranges::find_if(tokens, [&](std::size_t token) {
            sum += weights[token];
            return sum >= wanted;
        });
        if (enough != tokens.end())
            tokens.erase(enough + 1, tokens.end());
    }
    double rest = CounterRng(sampling.seed).uniform(index) * total();
    const auto drawn = std::ranges::find_if(tokens, [&](std::size_t token) {
        rest -= weights[token];
        return rest < 0;
    });
    return static_cast<std::int64_t>(drawn == tokens.end() ? largest : *drawn);
}

} // namespace ql
