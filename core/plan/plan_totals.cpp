// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/plan_totals.h"

#include <cmath>
#include <limits>

namespace ql {

PlanTotals::PlanTotals(const Model& model, const CostTable& table, const Plan& plan, const TargetProfile* target)
    : m_table(table),
      m_itemOfLayer(model.layers.size(), -1),
      m_itemBits(table.items.size(), 0),
      m_itemInPlan(table.items.size(), false),
      m_columns(table.items.size(), -1),
      m_measured(table.items.size(), true)
{
    for (std::size_t i = 0; i < table.items.size(); ++i)
        for (const std::int64_t layer : table.items[i].layers)
            m_itemOfLayer[static_cast<std::size_t>(layer)] = static_cast<std::int64_t>(i);
    for (const std::int64_t index : layersInPlan(model, target)) {
        const auto layer = static_cast<std::size_t>(index);
        const std::int64_t bits = layerPayloadBits(model.layers[layer], plan.candidates[layer]);
        m_payloadBits += bits;
        m_weights += model.layers[layer].numel();
        if (m_itemOfLayer[layer] >= 0) {
            m_itemBits[static_cast<std::size_t>(m_itemOfLayer[layer])] += bits;
            m_itemInPlan[static_cast<std::size_t>(m_itemOfLayer[layer])] = true;
        } else if (!plan.candidates[layer].weights.isKeep()) {
            ++m_unmeasured;
        }
    }
    std::vector<double> losses(table.items.size());
    for (std::size_t i = 0; i < table.items.size(); ++i) {
        const Candidate& candidate = plan.candidates[static_cast<std::size_t>(table.items[i].layers.front())];
        if (const auto column = table.columnOf(i, candidate))
            m_columns[i] = static_cast<std::int64_t>(*column);
        const double loss = plannedLoss(table, i, plan);
        m_measured[i] = !std::isnan(loss);
        losses[i] = m_measured[i] ? loss : 0;
        m_unmeasured += m_measured[i] ? 0 : 1;
    }
    m_losses = SumTree(losses);
}

std::optional<std::size_t> PlanTotals::itemOf(std::int64_t layer) const
{
    const std::int64_t item = m_itemOfLayer[static_cast<std::size_t>(layer)];
    return item < 0 ? std::nullopt : std::optional(static_cast<std::size_t>(item));
}

std::optional<std::size_t> PlanTotals::columnOf(std::size_t item) const
{
    return m_columns[item] < 0 ? std::nullopt : std::optional(static_cast<std::size_t>(m_columns[item]));
}

void PlanTotals::set(std::int64_t layer, std::size_t candidate)
{
    const auto item = itemOf(layer);
    if (!item)
        return;
    const Cost& cost = m_table.at(*item, candidate);
    if (m_itemInPlan[*item]) {
        m_payloadBits += cost.payloadBits - m_itemBits[*item];
        m_itemBits[*item] = cost.payloadBits;
    }
    m_columns[*item] = static_cast<std::int64_t>(candidate);
    const bool measured = !std::isnan(cost.loss);
    m_unmeasured += (m_measured[*item] ? 1 : 0) - (measured ? 1 : 0);
    m_measured[*item] = measured;
    m_losses.set(*item, measured ? cost.loss : 0);
}

double PlanTotals::lossOf(std::size_t item) const
{
    return m_measured[item] ? m_losses.at(item) : std::numeric_limits<double>::quiet_NaN();
}

double PlanTotals::loss() const
{
    return m_unmeasured > 0 ? std::numeric_limits<double>::quiet_NaN() : m_losses.total();
}

double PlanTotals::bitsPerWeight() const
{
    return m_weights > 0 ? static_cast<double>(m_payloadBits) / static_cast<double>(m_weights) : 0;
}

} // namespace ql
