// SPDX-License-Identifier: GPL-3.0-or-later
// The other way around: the smallest size whose loss is within a limit. The optimum's loss falls with the budget, so
// budgets are bisected; about log2(sizes ÷ unit) solves.
#pragma once

#include "core/allocation/solver.h"

#include <functional>

namespace ql {

/// Of a budget: as Solver::solve() answers it.
using SolveWithin = std::function<Result<Allocation>(std::int64_t budget)>;

/// The allocation of the smallest size, not below `smallest` and not above the budget, with loss + fixedLoss ≤ mostLoss
/// up to rounding, and among those the least loss that is found. fixedLoss: of what no choice changes, in no loss of
/// what is solved or returned. optimal: no smaller size would do (proven). Errors: refused where even the least loss is
/// larger: it is named; those of `solve`.
Result<Allocation> leastSize(const SolveWithin& solve, std::int64_t smallest, std::int64_t budget, double mostLoss,
                             double fixedLoss, const JobContext& context);

} // namespace ql
