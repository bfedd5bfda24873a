// SPDX-License-Identifier: GPL-3.0-or-later
// Allocation: one candidate per item, least total loss, total bytes within a budget (multiple-choice knapsack).
// One line in solvers.def and one file add a solver.
#pragma once

#include "core/base/result.h"
#include "core/jobs/job_context.h"

#include <span>
#include <string>
#include <vector>

namespace ql {

/// The problem in plain numbers: item i offers options [offsets[i], offsets[i+1]) of (size, loss). Losses are finite
/// and ≥ 0.
struct AllocationProblem {
    std::vector<std::size_t> offsets; // items + 1
    std::vector<std::int64_t> sizes;  // any integer unit (bits, bytes)
    std::vector<double> losses;
    std::int64_t budget = 0;

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
    Result<Allocation> (*solve)(const AllocationProblem& problem, const JobContext& context);
};

std::span<const Solver* const> allSolvers();
Result<const Solver*> findSolver(std::string_view id);

} // namespace ql
