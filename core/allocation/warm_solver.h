// SPDX-License-Identifier: GPL-3.0-or-later
// Optima of one problem again and again while an item is locked or freed, or the budget moves: the relaxation stays in
// order, a change costs copies of it. The answers are those of the solver `exact`. Thread-compatible.
#pragma once

#include "core/allocation/relaxation.h"

namespace ql {

class WarmSolver {
public:
    /// Errors: those of relax; usage for side constraints.
    static Result<WarmSolver> make(AllocationProblem problem);

    const AllocationProblem& problem() const { return m_problem; }
    /// Leaves the item one option, or all again.
    Result<void> lock(std::size_t item, std::size_t option);
    Result<void> unlock(std::size_t item);
    /// Other sizes and losses of an item's options, as many as it has. Its lock is lifted.
    Result<void> replace(std::size_t item, std::span<const std::int64_t> sizes, std::span<const double> losses);

    Result<Allocation> solve(std::int64_t budget, const JobContext& context);

private:
    AllocationProblem m_problem;
    allocation::Relaxation m_relaxation;
};

} // namespace ql
