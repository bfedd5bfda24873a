// SPDX-License-Identifier: GPL-3.0-or-later
// Named plans: branches, renamed and removed, and which of them is shown. Each change is a step that holds the list and
// the plan before and after.
#include "views/document/document.h"
#include "views/document/plan_command.h"
#include "views/jobs/job_runner.h"
#include "views/text/format.h"

#include <algorithm>

namespace ql::views {

Result<Plan> Document::namedPlan(std::size_t index) const
{
    if (!m_model || index >= m_named.plans.size())
        return usageError("there is no such plan");
    if (index == m_named.current)
        return m_plan;
    return parsePlan(m_named.plans[index].json, *m_model, true); // a variant's activations may be others by now
}

void Document::branchPlan(const QString& name)
{
    if (!m_model)
        return;
    cancelEdit();
    NamedPlans after = m_named;
    after.plans[after.current].json = printPlan(m_plan, *m_model);
    const QString unique = freeName(m_named, name);
    after.plans.push_back({.name = unique, .json = {}});
    after.current = after.plans.size() - 1;
    pushPlans(std::move(after), m_target, m_plan, tr("New plan %1").arg(unique));
}

void Document::addPlan(const QString& name, const Plan& plan)
{
    if (!m_model)
        return;
    cancelEdit();
    NamedPlans after = m_named;
    const QString unique = freeName(m_named, name);
    after.plans.push_back({.name = unique, .json = printPlan(plan, *m_model)});
    pushPlans(std::move(after), m_target, m_plan, tr("New plan %1").arg(unique));
}

void Document::renamePlan(std::size_t index, const QString& name)
{
    const QString wanted = name.trimmed();
    if (index >= m_named.plans.size() || wanted.isEmpty() || wanted == m_named.plans[index].name)
        return;
    cancelEdit();
    NamedPlans after = m_named;
    const QString before = std::exchange(after.plans[index].name, QString());
    after.plans[index].name = freeName(after, wanted);
    const QString text = tr("Rename %1 to %2").arg(before, after.plans[index].name);
    pushPlans(std::move(after), m_target, m_plan, text);
}

void Document::removePlan(std::size_t index)
{
    if (index >= m_named.plans.size() || m_named.plans.size() == 1)
        return;
    cancelEdit();
    const QString text = tr("Delete %1").arg(m_named.plans[index].name);
    NamedPlans after = m_named;
    after.plans.erase(after.plans.begin() + static_cast<std::ptrdiff_t>(index));
    if (index != m_named.current) {
        after.current -= index < after.current ? 1 : 0;
        pushPlans(std::move(after), m_target, m_plan, text);
        return;
    }
    after.current = std::min(index, after.plans.size() - 1); // the one below, or the last
    showNamed(std::move(after), text);
}

void Document::switchPlan(std::size_t index)
{
    if (index >= m_named.plans.size() || index == m_named.current)
        return;
    cancelEdit();
    NamedPlans after = m_named;
    after.plans[after.current].json = printPlan(m_plan, *m_model);
    after.current = index;
    showNamed(std::move(after), tr("Switch to %1").arg(m_named.plans[index].name));
}

QStringList Document::takeLayers(const Plan& from, std::span<const std::int64_t> layers, const QString& text)
{
    QStringList refusals;
    Plan merged = m_plan;
    for (const std::int64_t layer : layers) {
        const auto item = itemOf(layer);
        if (!item)
            continue;
        const std::vector<std::int64_t>& tied = m_table->items[*item].layers;
        if (std::ranges::any_of(tied, [this](std::int64_t l) { return isLocked(l); }))
            continue;
        Candidate candidate = from.candidates[static_cast<std::size_t>(layer)];
        if (m_target) {
            const TargetProfile& profile = m_target->profile;
            candidate = profile.complete(*m_model, this->layer(layer), candidate);
            if (const auto accepted = profile.accepts(*m_model, this->layer(layer), candidate); !accepted) {
                refusals << errorText(accepted.error());
                continue;
            }
        }
        for (const std::int64_t each : tied)
            merged.candidates[static_cast<std::size_t>(each)] = candidate;
    }
    adoptPlan(merged, text);
    return refusals;
}

/// Shows the plan that is current in `after`, which still has its text.
void Document::showNamed(NamedPlans after, const QString& text)
{
    auto plan = parsePlan(after.plans[after.current].json, *m_model, true);
    if (!plan) {
        m_jobs.report(text, plan.error());
        return;
    }
    after.plans[after.current].json.clear();
    const auto found = plan->target.empty() ? Result<const Target*>(m_target) : findTarget(plan->target);
    const Target* target = found ? *found : m_target;
    if (target && plan->target != target->profile.id)
        *plan = planFor(*m_model, std::move(*plan), target);
    pushPlans(std::move(after), target, *plan, text);
}

void Document::pushPlans(NamedPlans after, const Target* target, const Plan& plan, const QString& text)
{
    m_undo.push(new PlansCommand(*this, {.plans = m_named, .target = m_target, .plan = m_plan},
                                 {.plans = std::move(after), .target = target, .plan = plan}, text));
}

void Document::applyPlans(const NamedPlans& plans, const Target* target, const Plan& plan)
{
    m_named = plans;
    if (target != m_target || !(plan == m_plan))
        showPlan(target, plan);
    Q_EMIT plansChanged();
}

void Document::showPlan(const Target* target, const Plan& plan)
{
    m_editing = false;
    std::vector<std::int64_t> touched;
    bool fits = target == m_target;
    for (const std::int64_t layer : m_planLayers) {
        const auto i = static_cast<std::size_t>(layer);
        if (plan.candidates[i] == m_plan.candidates[i] && plan.locked[i] == m_plan.locked[i])
            continue;
        touched.push_back(layer);
        const auto item = itemOf(layer);
        fits = fits && item && m_table->columnOf(*item, plan.candidates[i]);
    }
    if (!fits) { // the table is made anew
        applyTarget(target, Plan(plan));
        return;
    }
    m_plan = plan;
    resetTotals();
    Q_EMIT planChanged(touched);
    refreshTotals();
}

/// Those that the variant shown had when it was left, or the first.
void Document::takeNamedPlans()
{
    const auto found = m_plansNamed.find(variantText());
    const auto known = found == m_plansNamed.end() ? std::nullopt : parseNamedPlans(found->second);
    m_named = known ? *known : firstPlan();
}

} // namespace ql::views
