// SPDX-License-Identifier: GPL-3.0-or-later
// State and editing. Files are in document_files.cpp, background measuring in document_measure.cpp.
#include "views/document/document.h"

#include "core/study/study.h"
#include "views/document/measure_mailbox.h"
#include "views/document/memory_sink.h"
#include "views/document/plan_command.h"
#include "views/jobs/job_runner.h"
#include "views/text/format.h"

#include <QFileInfo>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr int kDrainMs = 60; // batches of measured cells

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

Document::Document(JobRunner& jobs, QObject* parent)
    : QObject(parent), m_jobs(jobs), m_sink(std::make_shared<MemorySink>()), m_table(std::make_unique<CostTable>())
{
    m_drain.setInterval(kDrainMs);
    connect(&m_drain, &QTimer::timeout, this, &Document::drainMailbox);
    m_bytesTimer.setSingleShot(true);
    m_bytesTimer.setInterval(0); // once per round of events, however many moves it had
    connect(&m_bytesTimer, &QTimer::timeout, this, &Document::refreshFileBytes);
    connect(&m_undo, &QUndoStack::cleanChanged, this, &Document::titleChanged);
}

Document::~Document()
{
    // The stack tells everyone that it is clean while it goes; nobody should answer any more.
    disconnect(&m_undo, nullptr, this, nullptr);
    m_undo.clear();
}

QString Document::title() const
{
    if (!m_studyPath.isEmpty())
        return QFileInfo(m_studyPath).fileName();
    return m_model ? QFileInfo(checkpointPath()).fileName() : QString();
}

QString Document::checkpointPath() const
{
    return m_model ? pathText(m_model->checkpoint->path()) : QString();
}

QString Document::activationsPath() const
{
    return m_activations ? pathText(m_activations->path()) : QString();
}

bool Document::isModified() const
{
    return m_model && (!m_undo.isClean() || m_settingsModified);
}

void Document::setViewState(const std::string& key, const std::string& value)
{
    m_viewState[key] = value;
}

double Document::layerBits(std::int64_t layer) const
{
    const Layer& l = this->layer(layer);
    return l.numel() > 0 ? static_cast<double>(layerPayloadBits(l, candidate(layer))) / static_cast<double>(l.numel())
                         : 0;
}

std::int64_t Document::layerBytes(std::int64_t layer) const
{
    return ceilDiv(layerPayloadBits(this->layer(layer), candidate(layer)), 8);
}

std::optional<std::size_t> Document::itemOf(std::int64_t layer) const
{
    return m_planTotals && layer >= 0 ? m_planTotals->itemOf(layer) : std::nullopt;
}

const std::vector<std::size_t>& Document::ladder(std::int64_t layer) const
{
    static const std::vector<std::size_t> kNone;
    const auto item = itemOf(layer);
    return item ? m_ladders[*item] : kNone;
}

std::optional<std::size_t> Document::columnOf(std::int64_t layer) const
{
    const auto item = itemOf(layer);
    return item ? m_planTotals->columnOf(*item) : std::nullopt;
}

const Measurement* Document::cell(std::int64_t layer, std::size_t column) const
{
    const std::size_t index = static_cast<std::size_t>(layer) * m_table->candidates.size() + column;
    return index < m_cells.size() && m_cells[index] ? &*m_cells[index] : nullptr;
}

std::optional<Measurement> Document::plannedCell(std::int64_t layer) const
{
    if (candidate(layer).weights.isKeep()) {
        Measurement exact;
        exact.layer = layer;
        exact.error.count = this->layer(layer).numel();
        exact.losses.assign(allMetrics().size(), 0.0);
        return exact;
    }
    const auto column = columnOf(layer);
    const Measurement* found = column ? cell(layer, *column) : nullptr;
    return found ? std::optional(*found) : std::nullopt;
}

double Document::lossOf(const Measurement& cell) const
{
    return m_metric < cell.losses.size() ? cell.losses[m_metric] : std::numeric_limits<double>::quiet_NaN();
}

const Metric* Document::metric() const
{
    return m_metric < allMetrics().size() ? allMetrics()[m_metric] : nullptr;
}

std::vector<const Metric*> Document::usableMetrics() const
{
    std::vector<const Metric*> usable;
    for (const Metric* metric : allMetrics()) {
        if (!metric->needsActivations || m_activations)
            usable.push_back(metric);
    }
    return usable;
}

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
    std::vector<PlanChange> changes;
    for (const std::int64_t layer : m_planLayers) {
        const auto i = static_cast<std::size_t>(layer);
        if (plan.candidates[i] == m_plan.candidates[i] && plan.locked[i] == m_plan.locked[i])
            continue;
        changes.push_back(changeOf(m_plan, layer));
        changes.back().after = plan.candidates[i];
        changes.back().lockedAfter = plan.locked[i];
    }
    if (changes.empty())
        return;
    applyChanges(changes, true);
    m_undo.push(new PlanCommand(*this, std::move(changes), text, false));
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

void Document::setTarget(const Target* target)
{
    if (!m_model || target == m_target)
        return;
    cancelEdit();
    const Plan before = m_plan;
    const QString text = target ? tr("Change target to %1").arg(toQString(target->profile.title)) : tr("No target");
    m_undo.push(new TargetCommand(*this, m_target, before, target, planFor(target), text));
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

void Document::setMetric(const Metric* metric)
{
    const auto metrics = allMetrics();
    const auto found = std::find(metrics.begin(), metrics.end(), metric);
    if (found == metrics.end() || static_cast<std::size_t>(found - metrics.begin()) == m_metric)
        return;
    m_metric = static_cast<std::size_t>(found - metrics.begin());
    m_settingsModified = true;
    if (m_model) {
        buildTable();
        Q_EMIT tableChanged();
        refreshTotals();
    }
    Q_EMIT settingsChanged();
    Q_EMIT titleChanged();
}

void Document::setBudget(const Budget& budget)
{
    if (budget == m_budget)
        return;
    m_budget = budget;
    m_settingsModified = true;
    Q_EMIT settingsChanged();
    Q_EMIT titleChanged();
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
    m_ownCandidates = std::move(candidates);
    m_settingsModified = true;
    if (m_model)
        applyTarget(m_target, m_plan);
    Q_EMIT settingsChanged();
    Q_EMIT titleChanged();
    return {};
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
            for (const Candidate& candidate : target->profile.menu(*m_model, this->layer(layer)))
                add(candidate);
        }
    }
    // What the checkpoint has is always one of the choices, and so is what a loaded plan brings along.
    for (const std::int64_t layer : m_planLayers)
        add(candidate(layer));
    return columns;
}

/// The plan in the terms of another target: what it takes stays, the rest becomes the nearest in bits of its menu.
Plan Document::planFor(const Target* target) const
{
    Plan plan = m_plan;
    plan.target = target ? std::string(target->profile.id) : std::string();
    if (!target)
        return plan;
    const TargetProfile& profile = target->profile;
    const auto adapted = [&](std::int64_t index) {
        const Layer& layer = this->layer(index);
        const Candidate completed = profile.complete(*m_model, layer, candidate(index));
        if (profile.accepts(*m_model, layer, completed))
            return completed;
        const auto bits = static_cast<double>(layerPayloadBits(layer, candidate(index)));
        Candidate best = completed;
        double distance = std::numeric_limits<double>::infinity();
        for (const Candidate& offered : profile.menu(*m_model, layer)) {
            const double d = std::fabs(static_cast<double>(layerPayloadBits(layer, offered)) - bits);
            if (d < distance) {
                distance = d;
                best = offered;
            }
        }
        return best;
    };
    for (const Item& item : makeItems(*m_model, &profile)) {
        for (const std::int64_t layer : item.layers)
            plan.candidates[static_cast<std::size_t>(layer)] = adapted(item.layers.front());
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

void Document::resetTotals()
{
    m_planTotals =
        m_model ? std::make_unique<PlanTotals>(*m_model, *m_table, m_plan, m_target ? &m_target->profile : nullptr)
                : nullptr;
}

void Document::refreshTotals()
{
    if (!m_planTotals) {
        m_totals = {};
    } else {
        m_totals.payloadBits = m_planTotals->payloadBits();
        m_totals.bitsPerWeight = m_planTotals->bitsPerWeight();
        m_totals.loss = m_planTotals->loss();
        m_totals.unmeasured = m_planTotals->unmeasured();
        if (!m_bytesTimer.isActive())
            m_bytesTimer.start();
    }
    Q_EMIT totalsChanged();
}

void Document::refreshFileBytes()
{
    m_totals.fileBytes.reset();
    m_totals.refusal.clear();
    if (m_model && m_target) {
        const Result<std::int64_t> bytes = m_target->profile.fileBytes(*m_model, m_plan);
        if (bytes)
            m_totals.fileBytes = *bytes;
        else
            m_totals.refusal = errorText(bytes.error());
    }
    Q_EMIT totalsChanged();
}

} // namespace ql::views
