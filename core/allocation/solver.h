// SPDX-License-Identifier: GPL-3.0-or-later
// Allocation: one candidate per item, least total loss, total bytes within a budget (multiple-choice knapsack) and, for
// solvers that honour them, further sums within limits of their own. One line in solvers.def and one file add a solver.
#pragma once

#include "core/base/result.h"
#include "core/jobs/job_context.h"

#include <limits>
#include <span>
#include <string>
#include <vector>

namespace ql {

/// Part of a sum that no choice changes.
struct FixedAmount {
    std::string by; // what takes it: "locked layers"
    double amount = 0;
};

/// A further sum with limits: latency, operations, the bits of a group. It may pass a limit by the rounding of sums, a
/// 10¹²th of the largest magnitude the amounts can add up to.
struct SideConstraint {
    std::string name;                                        // as errors say it, with its unit: "latency in ms"
    std::vector<double> amounts;                             // one for each option, finite
    double atMost = std::numeric_limits<double>::infinity(); // of the amounts chosen and what is fixed together
    double atLeast = -std::numeric_limits<double>::infinity();
    std::vector<FixedAmount> fixed = {}; // finite
};

/// The problem in plain numbers: item i offers options [offsets[i], offsets[i+1]) of (size, loss). Losses are finite
/// and ≥ 0.
struct AllocationProblem {
    std::vector<std::size_t> offsets; // items + 1
    std::vector<std::int64_t> sizes;  // any integer unit (bits, bytes)
    std::vector<double> losses;
    std::int64_t budget = 0;
    std::vector<SideConstraint> sides = {};

    std::size_t itemCount() const { return offsets.empty() ? 0 : offsets.size() - 1; }
};

struct Allocation {
    std::vector<std::size_t> choice; // option within the item
    std::int64_t size = 0;
    double loss = 0;
    double lowerBound = 0;  // no allocation within the budget has a smaller loss (proven)
    bool optimal = false;   // loss equals the proven bound up to rounding of the sums
    double shadowPrice = 0; // loss saved per unit of size at the budget: the Lagrange multiplier
};

struct Solver {
    std::string_view id;
    std::string_view title;
    std::string_view source;
    /// An error of kind refused if even the smallest allocation exceeds the budget: it says how much would do.
    /// Called by solveWith, which has seen to the side constraints.
    Result<Allocation> (*solve)(const AllocationProblem& problem, const JobContext& context);
    bool honoursSides = false;
};

std::span<const Solver* const> allSolvers();
Result<const Solver*> findSolver(std::string_view id);
/// The first that honours what the problem asks for.
const Solver& solverFor(const AllocationProblem& problem);

/// Solves, or refuses side constraints, by name, that the solver does not honour. Errors: those of the solver; usage
/// for amounts that do not fit the problem; refused where no choice keeps a limit even by itself.
Result<Allocation> solveWith(const Solver& solver, const AllocationProblem& problem, const JobContext& context);

} // namespace ql
