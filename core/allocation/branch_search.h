// SPDX-License-Identifier: GPL-3.0-or-later
// Branch and bound for several limits: depth first, the linear relaxation of linear_rows.h at each node. Options whose
// reduced cost reaches the gap are dropped below a node; where the relaxation mixes options of an item, the item's
// options are split at the mixture's price. Each node's solution is rounded, mended and improved by single changes.
//
// Ends when nothing is left, or after a given amount of work, which does not depend on the machine; the bound then is
// the least of what was left open. A stop request is answered between nodes.
// Source: Land and Doig, Econometrica 28, 1960; Kellerer, Pferschy, Pisinger, Knapsack Problems, 2004, sections 9
// and 11.
#pragma once

#include "core/allocation/solver.h"

#include <optional>

namespace ql::allocation {

struct BranchSearch {
    bool found = false;              // choice keeps all limits
    std::vector<std::size_t> choice; // option within the item
    double loss = 0;
    double bound = 0;      // proven: no choice that keeps the limits has a smaller loss
    bool complete = false; // nothing was left open: choice is optimal, or where none was found there is none
    double sizePrice = 0;  // loss saved per unit of size, of the whole problem's relaxation
    std::int64_t nodes = 0;
};

/// About 1 s of one core.
constexpr std::int64_t kBranchWork = 1'000'000'000;

/// The problem is checked (relax, checkSides).
Result<BranchSearch> searchBranches(const AllocationProblem& problem, std::int64_t mostWork, const JobContext& context);

struct Program {
    std::optional<Allocation> best; // nothing where no choice was found
    double bound = 0;               // proven: no choice has a smaller loss; infinite: none keeps the limits
};

/// The whole: the optimum of the budget alone where it keeps the other limits, too; else branches. Errors: refused
/// where even the smallest choice exceeds the budget.
Result<Program> tryProgram(const AllocationProblem& problem, std::int64_t mostWork, const JobContext& context);

/// The same; refused where no choice keeps all limits, or none was found.
Result<Allocation> solveProgram(const AllocationProblem& problem, std::int64_t mostWork, const JobContext& context);

} // namespace ql::allocation
