// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/document/limits.h"

#include "core/base/text.h"
#include "views/document/plan_command.h"

namespace ql::views {

namespace {

bool isOfBudget(const Limit& limit)
{
    return limit.kind == LimitKind::size || limit.kind == LimitKind::bitsPerWeight;
}

} // namespace

std::vector<Limit> withoutBudget(const std::vector<Limit>& limits)
{
    std::vector<Limit> others = limits;
    std::erase_if(others, isOfBudget);
    return others;
}

std::vector<Limit> limitsWith(const std::vector<Limit>& limits, const Budget& budget)
{
    std::vector<Limit> all;
    if (budget.fileBytes)
        all.push_back({LimitKind::size, formatDouble(static_cast<double>(*budget.fileBytes) / 1e6) + " MB"});
    if (budget.bitsPerWeight)
        all.push_back({LimitKind::bitsPerWeight, formatDouble(*budget.bitsPerWeight)});
    for (Limit& other : withoutBudget(limits))
        all.push_back(std::move(other));
    return all;
}

Budget Document::budget() const
{
    Budget budget;
    for (const Limit& limit : m_limits) {
        if (limit.kind == LimitKind::size)
            budget.fileBytes = parseBytes(limit.text);
        else if (limit.kind == LimitKind::bitsPerWeight)
            budget.bitsPerWeight = parseDouble(limit.text);
    }
    return budget;
}

void Document::setBudget(const Budget& budget)
{
    if (!(budget == this->budget()))
        setLimits(limitsWith(m_limits, budget), tr("Change budget to %1").arg(budgetText(budget)));
}

void Document::setLimits(std::vector<Limit> limits, const QString& text)
{
    if (limits == m_limits)
        return;
    if (m_model)
        m_undo.push(new LimitsCommand(*this, m_limits, std::move(limits), text));
    else
        applyLimits(limits);
}

void Document::applyLimits(const std::vector<Limit>& limits)
{
    m_limits = limits;
    Q_EMIT settingsChanged();
    Q_EMIT titleChanged();
}

} // namespace ql::views
