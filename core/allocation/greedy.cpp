// SPDX-License-Identifier: GPL-3.0-or-later
// Hull steps in order of loss saved per unit of size, skipping what no longer fits. Fast, near the optimum for many
// small items, without proof unless it meets the relaxation's bound.
#include "core/allocation/relaxation.h"

namespace ql::solvers {

namespace {
Result<Allocation> solveGreedily(const AllocationProblem& problem, const JobContext& context)
{
    QL_TRY(relaxation, allocation::relax(problem));
    QL_CHECK(context.checkStop());
    return allocation::makeAllocation(problem, relaxation, allocation::fillGreedily(relaxation));
}
} // namespace

extern const Solver greedy;
const Solver greedy{
    .id = "greedy",
    .title = "Steepest steps first (no proof)",
    .source = "Kellerer, Pferschy, Pisinger, Knapsack Problems, 2004, section 11.2",
    .solve = solveGreedily,
};

} // namespace ql::solvers
