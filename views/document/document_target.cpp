// SPDX-License-Identifier: GPL-3.0-or-later
// What the target offers and what becomes of the plan when it changes.
#include "views/document/document.h"
#include "views/document/plan_command.h"
#include "views/text/format.h"

#include <algorithm>
#include <cmath>

namespace ql::views {

void Document::setTarget(const Target* target)
{
    if (!m_model || target == m_target)
        return;
    cancelEdit();
    const Plan before = m_plan;
    const QString text = target ? tr("Change target to %1").arg(toQString(target->profile.title)) : tr("No target");
    m_undo.push(new TargetCommand(*this, m_target, before, target, planFor(*m_model, m_plan, target), text));
}

void Document::applyTarget(const Target* target, const Plan& plan)
{
    m_editing = false;
    m_target = target;
    m_plan = plan;
    buildTable();
    Q_EMIT tableChanged();
    Q_EMIT planChanged(m_planLayers);
    refreshTotals();
    startMeasuring();
}

Result<void> Document::setCandidates(const QString& text)
{
    std::vector<Candidate> candidates;
    if (!text.trimmed().isEmpty()) {
        QL_TRY(parsed, parseCandidates(text.toStdString()));
        candidates = std::move(parsed);
    }
    if (candidates == m_ownCandidates)
        return {};
    if (m_model)
        m_undo.push(new CandidatesCommand(*this, m_ownCandidates, std::move(candidates), tr("Change candidates")));
    else
        applyCandidates(candidates);
    return {};
}

void Document::addCandidate(const Candidate& candidate)
{
    const std::vector<Candidate>& offered = m_table->candidates; // the list, and what the plan has
    if (!m_model || std::ranges::find(offered, candidate) != offered.end())
        return;
    std::vector<Candidate> candidates = m_ownCandidates.empty() ? offered : m_ownCandidates;
    candidates.push_back(candidate);
    m_undo.push(new CandidatesCommand(*this, m_ownCandidates, std::move(candidates),
                                      tr("Offer %1").arg(toQString(printCandidate(candidate)))));
}

void Document::applyCandidates(const std::vector<Candidate>& candidates)
{
    m_ownCandidates = candidates;
    m_settingsModified = true;
    if (m_model)
        applyTarget(m_target, Plan(m_plan));
    Q_EMIT settingsChanged();
    Q_EMIT titleChanged();
}

std::vector<Candidate> Document::menuOf(const Target* target) const
{
    std::vector<Candidate> columns;
    const auto add = [&columns](const Candidate& candidate) {
        if (std::find(columns.begin(), columns.end(), candidate) == columns.end())
            columns.push_back(candidate);
    };
    if (!m_ownCandidates.empty()) {
        columns = m_ownCandidates;
    } else if (target) {
        for (const std::int64_t layer : m_planLayers) {
            for (const Candidate& candidate : usualMenu(target->profile, *m_model, this->layer(layer)))
                add(candidate);
        }
    }
    // What the checkpoint has is always one of the choices, and so is what a loaded plan brings along, and what the
    // named plans of the target have: they are compared.
    for (const std::int64_t layer : m_planLayers)
        add(candidate(layer));
    for (std::size_t i = 0; m_named.plans.size() > 1 && i < m_named.plans.size(); ++i) {
        const auto named = namedPlan(i);
        if (!named || named->target != (target ? target->profile.id : std::string_view()))
            continue;
        for (const std::int64_t layer : m_planLayers)
            add(named->candidates[static_cast<std::size_t>(layer)]);
    }
    return columns;
}

/// The plan in the terms of another target: what it takes stays, the rest becomes the nearest in bits of its menu.
Plan Document::planFor(const Model& model, Plan plan, const Target* target)
{
    plan.target = target ? std::string(target->profile.id) : std::string();
    if (!target)
        return plan;
    const TargetProfile& profile = target->profile;
    const auto adapted = [&](std::int64_t index) {
        const Layer& layer = model.layers[static_cast<std::size_t>(index)];
        const Candidate& candidate = plan.candidates[static_cast<std::size_t>(index)];
        const Candidate completed = profile.complete(model, layer, candidate);
        if (profile.accepts(model, layer, completed))
            return completed;
        const auto bits = static_cast<double>(layerPayloadBits(layer, candidate));
        Candidate best = completed;
        double distance = std::numeric_limits<double>::infinity();
        for (const Candidate& offered : profile.menu(model, layer)) {
            const double d = std::fabs(static_cast<double>(layerPayloadBits(layer, offered)) - bits);
            if (d < distance) {
                distance = d;
                best = offered;
            }
        }
        return best;
    };
    for (const Item& item : makeItems(model, &profile)) {
        const Candidate shared = adapted(item.layers.front());
        for (const std::int64_t layer : item.layers)
            plan.candidates[static_cast<std::size_t>(layer)] = shared;
    }
    return plan;
}

/// 5 bits per weight, or half a bit above the smallest plan, in quarters.
double Document::usualBudget() const
{
    std::int64_t least = 0;
    std::int64_t weights = 0;
    for (const std::int64_t index : layersInPlan(*m_model, m_target ? &m_target->profile : nullptr)) {
        const auto item = itemOf(index);
        if (!item || m_ladders[*item].empty())
            continue;
        const Layer& decided = layer(index);
        weights += decided.numel();
        least += layerPayloadBits(decided, m_table->candidateOf(*item, m_ladders[*item].front()));
    }
    const double smallest = weights > 0 ? static_cast<double>(least) / static_cast<double>(weights) : 0;
    return std::max(5.0, std::ceil((smallest + 0.5) * 4) / 4);
}

} // namespace ql::views
