// SPDX-License-Identifier: GPL-3.0-or-later
// Size and predicted loss of a plan while it is being edited: what a drag needs at each mouse move. One change costs
// O(layers tied to it + log items), without allocation; the totals have the same bits as predictLoss and bitsPerWeight
// computed afresh. Refers to the table, which outlives it. Thread-compatible.
#pragma once

#include "core/plan/cost_table.h"
#include "core/plan/sum_tree.h"

namespace ql {

class PlanTotals {
public:
    /// Candidates of the plan that the table does not have count their bits, and have no loss (keep: 0).
    /// With a target, bits are counted over layersInPlan.
    PlanTotals(const Model& model, const CostTable& table, const Plan& plan, const TargetProfile* target = nullptr);

    /// Item of a layer; nothing for layers that the table does not have.
    std::optional<std::size_t> itemOf(std::int64_t layer) const;
    /// Gives the item of the layer, with all tied layers, a column of the table.
    void set(std::int64_t layer, std::size_t candidate);
    /// Column of an item; nothing while it has a candidate that is no column.
    std::optional<std::size_t> columnOf(std::size_t item) const;

    std::int64_t payloadBits() const { return m_payloadBits; }
    double bitsPerWeight() const;
    /// Payload bits of an item's layers.
    std::int64_t payloadBitsOf(std::size_t item) const { return m_itemBits[item]; }
    /// Predicted loss of an item; NaN if it was not measured.
    double lossOf(std::size_t item) const;
    /// Predicted loss of the plan; NaN while any part was not measured.
    double loss() const;
    /// How many items (and changed layers outside the table) have no measured loss.
    std::int64_t unmeasured() const { return m_unmeasured; }

private:
    const CostTable& m_table;
    std::vector<std::int64_t> m_itemOfLayer; // -1: none
    std::vector<std::int64_t> m_itemBits;    // of its layers in the plan
    std::vector<bool> m_itemInPlan;
    std::vector<std::int64_t> m_columns; // -1: none
    std::vector<bool> m_measured;
    SumTree m_losses; // 0 where unmeasured
    std::int64_t m_payloadBits = 0;
    std::int64_t m_weights = 0;
    std::int64_t m_unmeasured = 0;
};

/// Loss of one item under the plan: of the column its layers have, 0 for keep, NaN if they differ or have none.
double plannedLoss(const CostTable& table, std::size_t item, const Plan& plan);

} // namespace ql
