// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/plan_problem.h"

#include "core/allocation/file_sizes.h"
#include "core/plan/plan_totals.h"

#include <algorithm>
#include <cmath>

namespace ql {

PlanProblem::PlanProblem(const Model& model, const CostTable& table, const TargetProfile* target, const Plan& start)
    : m_model(&model), m_table(&table), m_target(target), m_plan(start), m_free(freeItems(table, start))
{
    std::vector<bool> isFree(table.items.size(), false);
    for (const FreeItem& free : m_free) {
        assignColumn(model, table, target, free.item, free.columns.front(), m_plan);
        isFree[free.item] = true;
    }
    for (const Item& item : table.items) {
        const auto locked = std::ranges::find_if(
            item.layers, [&](std::int64_t layer) { return m_plan.locked[static_cast<std::size_t>(layer)]; });
        if (locked == item.layers.end())
            continue;
        for (const std::int64_t layer : item.layers)
            if (!m_plan.locked[static_cast<std::size_t>(layer)])
                m_plan.candidates[static_cast<std::size_t>(layer)] =
                    m_plan.candidates[static_cast<std::size_t>(*locked)];
    }
    for (std::size_t i = 0; i < table.items.size(); ++i) {
        const double loss = isFree[i] ? 0 : plannedLoss(table, i, m_plan);
        m_fixedLoss += std::isnan(loss) ? 0 : loss;
    }
    m_problem.offsets.assign(1, 0);
    for (const FreeItem& free : m_free) {
        for (const std::size_t column : free.columns) {
            m_problem.sizes.push_back(table.at(free.item, column).payloadBits);
            m_problem.losses.push_back(table.at(free.item, column).loss);
        }
        m_problem.offsets.push_back(m_problem.sizes.size());
    }
}

Result<void> PlanProblem::countFileBytes(const JobContext& context)
{
    QL_TRY(reference, admit(*m_target, *m_model, m_plan));
    QL_TRY(referenceBytes, m_target->fileBytes(*m_model, reference));
    FileSizes sizes(*m_model, *m_target, reference, referenceBytes);
    m_fixedSize = referenceBytes;
    for (std::size_t i = 0; i < m_free.size(); ++i) {
        QL_CHECK(context.checkStop());
        for (std::size_t o = 0; o < m_free[i].columns.size(); ++o) {
            QL_TRY(bytes, sizes.added(m_table->items[m_free[i].item], m_table->candidates[columnOf(i, o)]));
            m_problem.sizes[m_problem.offsets[i] + o] = bytes;
        }
        m_fixedSize -= m_problem.sizes[m_problem.offsets[i]];
    }
    return {};
}

std::int64_t PlanProblem::smallestSize() const
{
    std::int64_t size = 0;
    for (std::size_t i = 0; i < m_free.size(); ++i)
        size += *std::min_element(m_problem.sizes.begin() + static_cast<std::ptrdiff_t>(m_problem.offsets[i]),
                                  m_problem.sizes.begin() + static_cast<std::ptrdiff_t>(m_problem.offsets[i + 1]));
    return size;
}

std::int64_t PlanProblem::largestSize() const
{
    std::int64_t size = 0;
    for (std::size_t i = 0; i < m_free.size(); ++i)
        size += *std::max_element(m_problem.sizes.begin() + static_cast<std::ptrdiff_t>(m_problem.offsets[i]),
                                  m_problem.sizes.begin() + static_cast<std::ptrdiff_t>(m_problem.offsets[i + 1]));
    return size;
}

std::int64_t PlanProblem::fixedBits(std::span<const std::int64_t> layers) const
{
    std::int64_t bits = 0;
    for (const std::int64_t layer : layers) {
        const auto index = static_cast<std::size_t>(layer);
        bits += layerPayloadBits(m_model->layers[index], m_plan.candidates[index]);
    }
    for (const FreeItem& free : m_free)
        bits -= m_table->at(free.item, free.columns.front()).payloadBits;
    return bits;
}

Candidate PlanProblem::candidateOf(std::int64_t layer, std::size_t item, std::size_t option) const
{
    const Candidate& candidate = m_table->candidates[columnOf(item, option)];
    return m_target ? m_target->complete(*m_model, m_model->layers[static_cast<std::size_t>(layer)], candidate)
                    : candidate;
}

Result<Plan> PlanProblem::planOf(std::span<const std::size_t> choice) const
{
    Plan plan = m_plan;
    for (std::size_t i = 0; i < choice.size(); ++i)
        assignColumn(*m_model, *m_table, m_target, m_free[i].item, columnOf(i, choice[i]), plan);
    if (m_target)
        return admit(*m_target, *m_model, plan);
    return plan;
}

std::vector<std::size_t> PlanProblem::columnsOf(std::span<const std::size_t> choice) const
{
    std::vector<std::size_t> columns(m_table->items.size(), m_table->candidates.size());
    std::vector<bool> decided(m_table->items.size(), false);
    for (std::size_t i = 0; i < m_free.size(); ++i) {
        columns[m_free[i].item] = columnOf(i, choice[i]);
        decided[m_free[i].item] = true;
    }
    for (std::size_t i = 0; i < m_table->items.size(); ++i) {
        const auto first = static_cast<std::size_t>(m_table->items[i].layers.front());
        if (!decided[i])
            columns[i] = m_table->columnOf(i, m_plan.candidates[first]).value_or(columns[i]);
    }
    return columns;
}

} // namespace ql
