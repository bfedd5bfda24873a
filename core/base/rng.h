// SPDX-License-Identifier: GPL-3.0-or-later
// Counter-based random numbers: the i-th number of a stream is a pure function of (seed, stream, i), so results do not
// depend on threads or order. Each step is two rounds of the splitmix64 finalizer (Steele, Lea, Flood, OOPSLA 2014).
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace ql {

class CounterRng {
public:
    explicit CounterRng(std::uint64_t seed, std::uint64_t stream = 0)
        : m_key(mix(seed ^ mix(stream + 0x632be59bd9b4e019U)))
    {}

    std::uint64_t bits(std::uint64_t index) const { return mix(mix(index * 0x9e3779b97f4a7c15U + m_key) ^ m_key); }
    /// Uniform in [0, 1), 53 bits.
    double uniform(std::uint64_t index) const { return static_cast<double>(bits(index) >> 11) * 0x1p-53; }
    /// Standard normal by Box and Muller from numbers 2i and 2i+1.
    double normal(std::uint64_t index) const
    {
        const double u = 1.0 - uniform(2 * index);
        return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * uniform(2 * index + 1));
    }

private:
    static std::uint64_t mix(std::uint64_t x)
    {
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
        return x ^ (x >> 31);
    }
    std::uint64_t m_key;
};

} // namespace ql
