// SPDX-License-Identifier: GPL-3.0-or-later
// The other way around: the smallest size whose loss is within a limit. The optimum's loss falls with the budget, so
// budgets are bisected; about log2(sizes ÷ unit) solves.
#pragma once

#include "core/allocation/solver.h"

namespace ql {

/// The allocation of the smallest size (not above the problem's budget) with loss + fixedLoss ≤ mostLoss up to
/// rounding, and among those the least loss; side constraints hold. fixedLoss: of what no choice changes, in no loss of
/// the problem or of what is returned. optimal: no smaller size would do (proven). Errors: refused where even the least
/// loss is larger: it is named.
Result<Allocation> leastSize(const Solver& solver, AllocationProblem problem, double mostLoss, double fixedLoss,
                             const JobContext& context);

} // namespace ql
