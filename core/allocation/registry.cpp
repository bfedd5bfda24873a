// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/measured_search.h"
#include "core/allocation/side_sums.h"

#include <algorithm>

namespace ql {

namespace solvers {
#define SOLVER(id) extern const Solver id;
#include "core/allocation/solvers.def"
#undef SOLVER
} // namespace solvers

std::span<const Solver* const> allSolvers()
{
    static constexpr const Solver* kAll[] = {
#define SOLVER(id) &solvers::id,
#include "core/allocation/solvers.def"
#undef SOLVER
    };
    return kAll;
}

Result<const Solver*> findSolver(std::string_view id)
{
    std::string known;
    for (const Solver* solver : allSolvers()) {
        if (solver->id == id)
            return solver;
        known += (known.empty() ? "" : ", ") + std::string(solver->id);
    }
    if (std::ranges::find(planSearches(), id, &PlanSearch::id) != planSearches().end())
        return usageError("'" + std::string(id) + "' runs plans instead of adding losses: qloupe search --by " +
                          std::string(id));
    return usageError("there is no solver '" + std::string(id) + "'; there are " + known);
}

const Solver& solverFor(const AllocationProblem& problem)
{
    for (const Solver* solver : allSolvers())
        if (solver->honoursSides || problem.sides.empty())
            return *solver;
    return *allSolvers().front();
}

Result<Allocation> solveWith(const Solver& solver, const AllocationProblem& problem, const JobContext& context)
{
    if (!problem.sides.empty() && !solver.honoursSides) {
        std::string able;
        for (const Solver* other : allSolvers())
            if (other->honoursSides)
                able += (able.empty() ? "" : ", ") + std::string(other->id);
        return usageError("the solver '" + std::string(solver.id) + "' has one budget and cannot keep the limit of " +
                          problem.sides.front().name + "; take " + able);
    }
    QL_CHECK(allocation::checkSides(problem));
    return solver.solve(problem, context);
}

} // namespace ql
