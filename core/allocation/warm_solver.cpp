// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/warm_solver.h"

#include "core/allocation/core_search.h"

#include <algorithm>

namespace ql {

Result<WarmSolver> WarmSolver::make(AllocationProblem problem)
{
    if (!problem.sides.empty())
        return usageError("is not kept by a solver of one budget", problem.sides.front().name);
    WarmSolver solver;
    solver.m_problem = std::move(problem);
    solver.m_problem.budget = std::int64_t{1} << 60; // refuses nothing
    QL_TRY(relaxation, allocation::relax(solver.m_problem));
    solver.m_relaxation = std::move(relaxation);
    allocation::orderSteps(solver.m_relaxation);
    return solver;
}

Result<void> WarmSolver::lock(std::size_t item, std::size_t option)
{
    return allocation::replaceItem(m_relaxation, m_problem, item, option);
}

Result<void> WarmSolver::unlock(std::size_t item)
{
    return allocation::replaceItem(m_relaxation, m_problem, item);
}

Result<void> WarmSolver::replace(std::size_t item, std::span<const std::int64_t> sizes, std::span<const double> losses)
{
    const std::size_t begin = m_problem.offsets[item];
    if (sizes.size() != m_problem.offsets[item + 1] - begin || losses.size() != sizes.size())
        return usageError("has another number of options", "item " + std::to_string(item));
    std::ranges::copy(sizes, m_problem.sizes.begin() + static_cast<std::ptrdiff_t>(begin));
    std::ranges::copy(losses, m_problem.losses.begin() + static_cast<std::ptrdiff_t>(begin));
    return unlock(item);
}

Result<Allocation> WarmSolver::solve(std::int64_t budget, const JobContext& context)
{
    QL_CHECK(allocation::setBudget(m_relaxation, budget));
    QL_TRY(search, allocation::searchCore(m_relaxation, context));
    return allocation::makeAllocation(m_problem, m_relaxation, search);
}

} // namespace ql
