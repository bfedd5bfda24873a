// SPDX-License-Identifier: GPL-3.0-or-later
// Search for objectives that are no sum over items: an evolution of choices that all keep the limits. A generation is
// the best of the last, mutations (each item drawn anew with a chance) and crossings of two of them (each item from
// either); children that break a limit or were seen before are drawn again, or mended by taking items to smaller
// options. The best so far never gets worse. Equal answers for equal seeds, whatever the number of threads.
//
// PlanPredictor is an objective fitted on plans that were measured: the additive prediction times the measured ratio,
// and what is left by kernel ridge regression over the share of items that two plans have in common.
// Source: Wang et al., APQ, CVPR 2020, sections 3.2 and 3.3.
#pragma once

#include "core/allocation/solver.h"

#include <functional>

namespace ql {

struct EvolutionSettings {
    std::size_t population = 100;
    std::size_t parents = 25;
    std::size_t generations = 100;
    double mutation = 0.1; // chance of each item
    std::uint64_t seed = 0;
    std::vector<std::vector<std::size_t>> start = {}; // that the first generation has beside drawn ones
};

struct Evolution {
    std::vector<std::size_t> choice;
    double value = 0;
    std::vector<double> bestOf; // best so far after each generation
    std::int64_t evaluations = 0;
};

/// Smaller is better. Called once for each choice.
using PlanObjective = std::function<double(std::span<const std::size_t> choice)>;

/// Errors: refused where no choice was found that keeps the limits; cancelled.
Result<Evolution> evolve(const AllocationProblem& problem, const PlanObjective& objective,
                         const EvolutionSettings& settings, const JobContext& context);

class PlanPredictor {
public:
    /// Of the problem's losses and of plans with their measured values (at least one, of finite values). ridge > 0: the
    /// variance of a measurement over that of what the additive model misses.
    static Result<PlanPredictor> fit(const AllocationProblem& problem, std::vector<std::vector<std::size_t>> plans,
                                     std::span<const double> measured, double ridge = 0.01);
    double operator()(std::span<const std::size_t> choice) const;

private:
    double additive(std::span<const std::size_t> choice) const;
    double shared(std::span<const std::size_t> a, std::span<const std::size_t> b) const;

    std::vector<std::size_t> m_offsets;
    std::vector<double> m_losses;
    std::vector<std::vector<std::size_t>> m_plans;
    std::vector<double> m_weights;
    double m_ratio = 1;
};

} // namespace ql
