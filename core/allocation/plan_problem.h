// SPDX-License-Identifier: GPL-3.0-or-later
// What a plan leaves to decide, in the plain numbers of a solver, and back.
#pragma once

#include "core/allocation/free_items.h"
#include "core/allocation/solver.h"

namespace ql {

/// Item i of the problem is free[i], its option o the column free[i].columns[o]. Refers to model, table and target.
class PlanProblem {
public:
    /// Locked layers keep their candidate and give it to those tied to them. Sizes are payload bits.
    PlanProblem(const Model& model, const CostTable& table, const TargetProfile* target, const Plan& start);

    /// Makes the sizes bytes of the target's files as the target counts them, up to padding and the length of texts:
    /// what depends on an item's option; the rest is fixedSize(). Errors: what the target refuses.
    Result<void> countFileBytes(const JobContext& context);

    const Model& model() const { return *m_model; }
    const CostTable& table() const { return *m_table; }
    const std::vector<FreeItem>& free() const { return m_free; }
    AllocationProblem& problem() { return m_problem; }
    const AllocationProblem& problem() const { return m_problem; }
    /// With free items at their first column.
    const Plan& start() const { return m_plan; }
    /// Bytes of the files besides the sizes of the options; 0 while sizes are bits.
    std::int64_t fixedSize() const { return m_fixedSize; }
    /// Of the items that are not free, where it is known.
    double fixedLoss() const { return m_fixedLoss; }

    std::int64_t smallestSize() const;
    std::int64_t largestSize() const;
    /// Payload bits of those of the layers that are not free.
    std::int64_t fixedBits(std::span<const std::int64_t> layers) const;
    std::size_t columnOf(std::size_t item, std::size_t option) const { return m_free[item].columns[option]; }
    /// What a layer of the item becomes by the option, as the target completes it.
    Candidate candidateOf(std::int64_t layer, std::size_t item, std::size_t option) const;
    /// The plan of a choice; refused where the target refuses it.
    Result<Plan> planOf(std::span<const std::size_t> choice) const;
    /// The column of each of the table's items; the number of columns where it has none.
    std::vector<std::size_t> columnsOf(std::span<const std::size_t> choice) const;

private:
    const Model* m_model;
    const CostTable* m_table;
    const TargetProfile* m_target;
    Plan m_plan;
    std::vector<FreeItem> m_free;
    AllocationProblem m_problem;
    std::int64_t m_fixedSize = 0;
    double m_fixedLoss = 0;
};

} // namespace ql
