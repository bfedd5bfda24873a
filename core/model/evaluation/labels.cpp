// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/labels.h"

#include "core/base/rng.h"

namespace ql {

namespace {

template<typename T>
std::int64_t drawn(std::span<const T> probabilities, double u)
{
    double total = 0;
    for (const T p : probabilities)
        total += static_cast<double>(p);
    double sum = 0;
    std::int64_t last = 0; // that can be drawn at all
    for (std::int64_t i = 0; i < std::ssize(probabilities); ++i) {
        const auto p = static_cast<double>(probabilities[static_cast<std::size_t>(i)]);
        sum += p;
        if (p > 0)
            last = i;
        if (sum > u * total)
            break;
    }
    return last;
}

} // namespace

template<typename T>
Labels<T> sampledLabels(std::uint64_t seed)
{
    return [seed](std::int64_t window, std::int64_t position, std::span<const T> probabilities) {
        const CounterRng random(seed, static_cast<std::uint64_t>(window));
        return drawn(probabilities, random.uniform(static_cast<std::uint64_t>(position)));
    };
}

template Labels<float> sampledLabels<float>(std::uint64_t);
template Labels<double> sampledLabels<double>(std::uint64_t);

} // namespace ql
