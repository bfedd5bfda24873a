// SPDX-License-Identifier: GPL-3.0-or-later
// An evolution whose objective is measured: some plans are measured, a PlanPredictor is fitted on them, and one after
// the other the best that an evolution finds by it is measured and joins them. Measured first are the optimum of the
// losses with their couplings and optima of losses ℓ·exp(s·z) drawn around them, z standard normal, couplings as they
// are: plans that use the budget.
// A pure function of problem, settings and what is measured, so that a search that finds its measurements again
// continues.
// Source: Wang et al., APQ, CVPR 2020, sections 3.2 and 3.3 (predictor and evolution); the steps between them are the
// usual ones of model-based optimization.
#pragma once

#include "core/allocation/evolution.h"
#include "core/allocation/joint_search.h"

namespace ql {

struct MeasuredSearchSettings {
    std::size_t start = 12; // plans measured before anything is fitted
    std::size_t steps = 12; // and after
    double spread = 0.5;    // s
    EvolutionSettings evolution = {.population = 100,
                                   .parents = 25,
                                   .generations = 50,
                                   .mutation = 0, // 0: about four items
                                   .seed = 1,
                                   .start = {}};
};

struct MeasuredChoice {
    std::vector<std::size_t> choice;
    double predicted = 0; // before it was measured; NaN where nothing was fitted yet
    double measured = 0;
};

/// Finite; smaller is better. Called once for each choice.
using MeasureChoice = std::function<Result<double>(std::span<const std::size_t> choice)>;

/// In the order they were measured; the first is the optimum of the losses with the terms (or the best that the solver
/// found). Fewer than asked for where there are no more choices. Errors: those of solveJointly() and of `measure`.
Result<std::vector<MeasuredChoice>> searchMeasured(const AllocationProblem& problem, const JointTerms& terms,
                                                   const MeasureChoice& measure, const MeasuredSearchSettings& settings,
                                                   const JobContext& context);

/// What finds plans by running them, beside the solvers, whose objective is a sum of losses.
struct PlanSearch {
    std::string_view id;
    std::string_view title;
    std::string_view objective;
    std::string_view source;
};
std::span<const PlanSearch> planSearches();

} // namespace ql
