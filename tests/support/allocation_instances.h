// SPDX-License-Identifier: GPL-3.0-or-later
// Allocation problems of the kinds that solvers find hard in different ways, each a pure function of its seed.
#pragma once

#include "core/allocation/joint_search.h"
#include "core/allocation/solver.h"
#include "core/base/rng.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace ql::test {

class InstanceMaker {
public:
    explicit InstanceMaker(std::uint64_t seed) : m_rng(seed) { m_problem.offsets.push_back(0); }

    /// Uniform integer in [low, high].
    std::int64_t integer(std::int64_t low, std::int64_t high)
    {
        return low + static_cast<std::int64_t>(m_rng.bits(m_next++) % static_cast<std::uint64_t>(high - low + 1));
    }
    double uniform() { return m_rng.uniform(m_next++); }
    double normal() { return m_rng.normal(m_next++); }

    void option(std::int64_t size, double loss)
    {
        m_problem.sizes.push_back(size);
        m_problem.losses.push_back(loss);
    }
    void endItem() { m_problem.offsets.push_back(m_problem.sizes.size()); }
    /// Sets the budget `share` of the way from the smallest to the largest allocation.
    AllocationProblem finish(double share)
    {
        std::int64_t smallest = 0;
        std::int64_t largest = 0;
        for (std::size_t i = 0; i < m_problem.itemCount(); ++i) {
            const auto [low, high] =
                std::minmax_element(m_problem.sizes.begin() + static_cast<std::ptrdiff_t>(m_problem.offsets[i]),
                                    m_problem.sizes.begin() + static_cast<std::ptrdiff_t>(m_problem.offsets[i + 1]));
            smallest += *low;
            largest += *high;
        }
        m_problem.budget = smallest + static_cast<std::int64_t>(share * static_cast<double>(largest - smallest));
        return m_problem;
    }

private:
    CounterRng m_rng;
    std::uint64_t m_next = 0;
    AllocationProblem m_problem;
};

constexpr std::array<int, 8> kBits{2, 3, 4, 5, 6, 7, 8, 16};

/// Sizes and losses without structure.
inline AllocationProblem randomInstance(std::size_t items, std::size_t options, std::uint64_t seed, double share)
{
    InstanceMaker make(seed);
    for (std::size_t i = 0; i < items; ++i, make.endItem())
        for (std::size_t o = 0; o < options; ++o)
            make.option(make.integer(1, 10'000'000), make.uniform());
    return make.finish(share);
}

/// A network: layers of a few shapes, 2…16 bits with group scales, noise that falls about fourfold per bit.
inline AllocationProblem repeatedSizes(std::size_t items, std::size_t, std::uint64_t seed, double share)
{
    constexpr std::array<std::int64_t, 4> kWeights{331'776, 110'592, 884'736, 28'311'552};
    InstanceMaker make(seed);
    for (std::size_t i = 0; i < items; ++i, make.endItem()) {
        const std::int64_t weights = kWeights[static_cast<std::size_t>(make.integer(0, i % 50 == 0 ? 3 : 2))];
        const double level = std::exp(2 * make.normal());
        for (const int bits : kBits)
            make.option(weights * bits + (bits < 16 ? weights / 64 * 16 : 0),
                        bits == 16 ? 0 : level * std::pow(4.0, -bits) * (0.9 + 0.2 * make.uniform()));
    }
    return make.finish(share);
}

/// Loss exactly c·4^−b per weight, the same c everywhere: every item offers the same slopes.
inline AllocationProblem exactPowers(std::size_t items, std::size_t options, std::uint64_t seed, double share)
{
    InstanceMaker make(seed);
    for (std::size_t i = 0; i < items; ++i, make.endItem()) {
        const std::int64_t weights = make.integer(1'000, 20'000'000);
        for (std::size_t b = 2; b < 2 + options; ++b)
            make.option(weights * static_cast<std::int64_t>(b),
                        static_cast<double>(weights) * std::ldexp(1.0, -2 * static_cast<int>(b)));
    }
    return make.finish(share);
}

/// The same with a level of its own per item and few sizes.
inline AllocationProblem exactPowersOfLayers(std::size_t items, std::size_t options, std::uint64_t seed, double share)
{
    constexpr std::array<std::int64_t, 3> kWeights{331'776, 110'592, 884'736};
    InstanceMaker make(seed);
    for (std::size_t i = 0; i < items; ++i, make.endItem()) {
        const std::int64_t weights = kWeights[static_cast<std::size_t>(make.integer(0, 2))];
        const double level = static_cast<double>(make.integer(1, 6));
        for (std::size_t b = 2; b < 2 + options; ++b)
            make.option(weights * static_cast<std::int64_t>(b),
                        level * static_cast<double>(weights) * std::ldexp(1.0, -2 * static_cast<int>(b)));
    }
    return make.finish(share);
}

/// Small whole numbers, so that losses, sizes and slopes are equal again and again.
inline AllocationProblem tied(std::size_t items, std::size_t options, std::uint64_t seed, double share)
{
    InstanceMaker make(seed);
    for (std::size_t i = 0; i < items; ++i, make.endItem())
        for (std::size_t o = 0; o < options; ++o)
            make.option(make.integer(1, 20), static_cast<double>(make.integer(0, 20)));
    return make.finish(share);
}

/// Every item is the same.
inline AllocationProblem identical(std::size_t items, std::size_t, std::uint64_t, double share)
{
    InstanceMaker make(0);
    for (std::size_t i = 0; i < items; ++i, make.endItem())
        for (const int bits : kBits)
            make.option(bits * 1000, std::ldexp(1.0, -2 * bits));
    return make.finish(share);
}

/// Loss saved is nearly proportional to size: every choice lies near the relaxation.
inline AllocationProblem correlated(std::size_t items, std::size_t options, std::uint64_t seed, double share)
{
    InstanceMaker make(seed);
    for (std::size_t i = 0; i < items; ++i, make.endItem())
        for (std::size_t o = 0; o < options; ++o) {
            const std::int64_t size = make.integer(1, 100'000);
            make.option(size, static_cast<double>(200'000 - size) + 20 * make.uniform());
        }
    return make.finish(share);
}

struct InstanceClass {
    const char* name;
    AllocationProblem (*make)(std::size_t items, std::size_t options, std::uint64_t seed, double share);
};
constexpr std::array<InstanceClass, 7> kInstanceClasses{{{"random", randomInstance},
                                                         {"repeated sizes", repeatedSizes},
                                                         {"exact 4^-b", exactPowers},
                                                         {"exact 4^-b of layers", exactPowersOfLayers},
                                                         {"tied", tied},
                                                         {"identical", identical},
                                                         {"correlated", correlated}}};

/// Of a choice of items that are coupled, each term by itself; the oracle of joint searches.
inline double jointLoss(const AllocationProblem& problem, const JointTerms& terms, std::span<const std::size_t> choice)
{
    double loss = 0;
    for (std::size_t i = 0; i < choice.size(); ++i) {
        const std::size_t o = problem.offsets[i] + choice[i];
        loss += problem.losses[o] + (terms.own.empty() ? 0 : terms.own[o]);
    }
    for (const PairTerm& pair : terms.pairs) {
        const std::size_t options = problem.offsets[pair.second + 1] - problem.offsets[pair.second];
        loss += pair.losses[choice[pair.first] * options + choice[pair.second]];
    }
    return loss;
}

} // namespace ql::test
