// SPDX-License-Identifier: GPL-3.0-or-later
// The integer program: one budget by the core search, several limits by branch and bound with its gap.
#include "core/allocation/branch_search.h"

namespace ql::solvers {

namespace {
Result<Allocation> solveProgram(const AllocationProblem& problem, const JobContext& context)
{
    return allocation::solveProgram(problem, allocation::kBranchWork, context);
}
} // namespace

extern const Solver ilp;
const Solver ilp{
    .id = "ilp",
    .title = "Several limits at once (branch and bound)",
    .source = "Land and Doig, Econometrica 28 (1960); Yao et al., HAWQ-V3, ICML 2021, section 3.4",
    .solve = solveProgram,
    .honoursSides = true,
};

} // namespace ql::solvers
