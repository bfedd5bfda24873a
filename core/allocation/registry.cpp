// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/solver.h"

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
    return usageError("there is no solver '" + std::string(id) + "'; there are " + known);
}

} // namespace ql
