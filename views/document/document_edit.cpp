// SPDX-License-Identifier: GPL-3.0-or-later
// Changing the plan: previews, undo steps, locks, whole plans.
#include "views/document/document.h"
#include "views/document/plan_command.h"
#include "views/text/format.h"

#include <algorithm>
#include <set>

namespace ql::views {

namespace {

PlanChange changeOf(const Plan& plan, std::int64_t layer)
{
    const auto i = static_cast<std::size_t>(layer);
    return {.layer = layer,
            .before = plan.candidates[i],
            .after = plan.candidates[i],
            .lockedBefore = plan.locked[i],
            .lockedAfter = plan.locked[i]};
}

} // namespace

void Document::beginEdit()
{
    cancelEdit();
    m_editing = true;
    m_edit.clear();
    m_editAt.assign(m_model ? m_model->layers.size() : 0, -1);
}

void Document::setCandidateOf(std::int64_t layer, const Candidate& candidate)
{
    m_plan.candidates[static_cast<std::size_t>(layer)] = candidate;
}

void Document::previewEdit(std::span<const LayerColumn> changes)
{
    if (!m_editing)
        return;
    std::vector<std::int64_t> touched;
    for (const LayerColumn& change : changes) {
        const auto item = itemOf(change.layer);
        if (!item || !m_table->at(*item, change.column).allowed)
            continue;
        const std::vector<std::int64_t>& layers = m_table->items[*item].layers;
        if (std::any_of(layers.begin(), layers.end(), [this](std::int64_t l) { return isLocked(l); }))
            continue;
        m_planTotals->set(change.layer, change.column);
        for (const std::int64_t layer : layers) {
            std::int32_t& at = m_editAt[static_cast<std::size_t>(layer)];
            if (at < 0) {
                at = static_cast<std::int32_t>(m_edit.size());
                m_edit.push_back(changeOf(m_plan, layer));
            }
            const Candidate& candidate = m_table->candidateOf(*item, change.column);
            m_edit[static_cast<std::size_t>(at)].after = candidate;
            setCandidateOf(layer, candidate);
            touched.push_back(layer);
        }
    }
    if (touched.empty())
        return;
    Q_EMIT planChanged(touched);
    refreshTotals();
}

void Document::commitEdit(const QString& text, bool mergeable)
{
    if (!m_editing)
        return;
    m_editing = false;
    std::erase_if(m_edit, [](const PlanChange& change) { return change.before == change.after; });
    if (!m_edit.empty())
        m_undo.push(new PlanCommand(*this, std::move(m_edit), text, mergeable));
    m_edit.clear();
}

void Document::cancelEdit()
{
    if (!m_editing)
        return;
    m_editing = false;
    if (!m_edit.empty())
        applyChanges(m_edit, false);
    m_edit.clear();
}

void Document::assign(std::span<const LayerColumn> changes, const QString& text)
{
    beginEdit();
    previewEdit(changes);
    commitEdit(text);
}

void Document::setLocked(std::span<const std::int64_t> layers, bool locked)
{
    std::vector<PlanChange> changes;
    std::set<std::int64_t> seen;
    for (const std::int64_t layer : layers) {
        const auto item = itemOf(layer);
        for (const std::int64_t tied : item ? m_table->items[*item].layers : std::vector<std::int64_t>{layer}) {
            if (isLocked(tied) == locked || !seen.insert(tied).second)
                continue;
            changes.push_back(changeOf(m_plan, tied));
            changes.back().lockedAfter = locked;
        }
    }
    if (changes.empty())
        return;
    cancelEdit();
    applyChanges(changes, true);
    const auto count = static_cast<int>(changes.size());
    const QString name = toQString(layer(changes.front().layer).name);
    const QString text = count == 1 ? (locked ? tr("Lock %1") : tr("Unlock %1")).arg(name)
                         : locked   ? tr("Lock %1 layers").arg(count)
                                    : tr("Unlock %1 layers").arg(count);
    m_undo.push(new PlanCommand(*this, std::move(changes), text, false));
}

void Document::adoptPlan(const Plan& plan, const QString& text)
{
    cancelEdit();
    Plan adopted = m_plan;
    std::vector<PlanChange> changes;
    bool fits = plan.target.empty() || plan.target == m_plan.target;
    for (const std::int64_t layer : m_planLayers) {
        const auto i = static_cast<std::size_t>(layer);
        if (plan.candidates[i] == m_plan.candidates[i] && plan.locked[i] == m_plan.locked[i])
            continue;
        changes.push_back(changeOf(m_plan, layer));
        changes.back().after = adopted.candidates[i] = plan.candidates[i];
        changes.back().lockedAfter = plan.locked[i];
        adopted.locked[i] = plan.locked[i];
        const auto item = itemOf(layer);
        fits = fits && item && m_table->columnOf(*item, plan.candidates[i]);
    }
    if (fits) {
        if (changes.empty())
            return;
        applyChanges(changes, true);
        m_undo.push(new PlanCommand(*this, std::move(changes), text, false));
        return;
    }
    // Made for another target, or with candidates that are not offered: the table is made anew.
    const auto target = plan.target.empty() ? Result<const Target*>(m_target) : findTarget(plan.target);
    adopted.target = target && *target ? std::string((*target)->profile.id) : m_plan.target;
    m_undo.push(new TargetCommand(*this, m_target, m_plan, target ? *target : m_target, adopted, text));
}

void Document::applyChanges(std::span<const PlanChange> changes, bool forward)
{
    m_editing = false;
    std::vector<std::int64_t> touched;
    for (const PlanChange& change : changes) {
        setCandidateOf(change.layer, forward ? change.after : change.before);
        m_plan.locked[static_cast<std::size_t>(change.layer)] = forward ? change.lockedAfter : change.lockedBefore;
        touched.push_back(change.layer);
    }
    resetTotals();
    Q_EMIT planChanged(touched);
    refreshTotals();
}

} // namespace ql::views
