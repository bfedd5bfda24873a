// SPDX-License-Identifier: GPL-3.0-or-later
// Relaxation, then a search of its core that proves the optimum.
#include "core/allocation/core_search.h"

namespace ql::solvers {

namespace {
Result<Allocation> solveExactly(const AllocationProblem& problem, const JobContext& context)
{
    QL_TRY(relaxation, allocation::relax(problem));
    QL_CHECK(context.checkStop());
    QL_TRY(search, allocation::searchCore(relaxation, context));
    return allocation::makeAllocation(problem, relaxation, search);
}
} // namespace

extern const Solver exact;
const Solver exact{
    .id = "exact",
    .title = "Proven optimum (core search)",
    .source = "Pisinger, EJOR 83 (1995) 394–410; Kellerer, Pferschy, Pisinger, Knapsack Problems, 2004, chapter 11",
    .solve = solveExactly,
};

} // namespace ql::solvers
