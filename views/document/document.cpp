// SPDX-License-Identifier: GPL-3.0-or-later
// State. Editing is in document_edit.cpp, files in document_files.cpp, background measuring in document_measure.cpp.
#include "views/document/document.h"

#include "core/base/text.h"
#include "core/study/study.h"
#include "views/document/limits.h"
#include "views/document/measure_mailbox.h"
#include "views/document/memory_sink.h"
#include "views/jobs/job_runner.h"
#include "views/text/format.h"

#include <QFileInfo>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr int kDrainMs = 60;                         // batches of measured cells
constexpr std::string_view kPlanSetting = "plan:";   // and its variant; of those that are not shown
constexpr std::string_view kPlansSetting = "plans:"; // and its variant: named plans

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
    if (!m_model)
        return {};
    const QString file = QFileInfo(m_studyPath.isEmpty() ? checkpointPath() : m_studyPath).fileName();
    return m_variant ? file + QStringLiteral(" + ") +
                           toQString(variantText()).replace(QLatin1Char('+'), QStringLiteral(" + "))
                     : file;
}

QString Document::checkpointPath() const
{
    return m_model ? pathText(m_model->checkpoint->path()) : QString();
}

QString Document::activationsPath() const
{
    return isCalibrated() ? m_studyPath : m_activations ? pathText(m_activations->path()) : QString();
}

bool Document::isCalibrated() const
{
    return m_activations && m_activations->path().empty();
}

std::shared_ptr<ResultSink> Document::sink() const
{
    if (m_study && m_study->lockedBy().empty())
        return m_study;
    return m_sink;
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

double Document::lossOf(const Measurement& cell, const Metric& metric)
{
    const auto metrics = allMetrics();
    const auto at = static_cast<std::size_t>(std::ranges::find(metrics, &metric) - metrics.begin());
    return at < cell.losses.size() ? cell.losses[at] : std::numeric_limits<double>::quiet_NaN();
}

const Metric* Document::metric() const
{
    return m_metric < allMetrics().size() ? allMetrics()[m_metric] : nullptr;
}

std::vector<const Metric*> Document::usableMetrics() const
{
    std::vector<const Metric*> usable;
    for (const Metric* metric : allMetrics()) {
        if (checkUsable(*metric, m_activations.get()))
            usable.push_back(metric);
    }
    return usable;
}

void Document::takeBestMetric()
{
    if (metric() && !checkUsable(*metric(), m_activations.get()))
        m_isMetricChosen = false;
    if (m_isMetricChosen)
        return;
    const auto metrics = allMetrics();
    m_metric = static_cast<std::size_t>(std::ranges::find(metrics, &bestMetric(m_activations.get())) - metrics.begin());
}

void Document::setMetric(const Metric* metric)
{
    const auto metrics = allMetrics();
    const auto found = std::find(metrics.begin(), metrics.end(), metric);
    if (found == metrics.end())
        return;
    m_isMetricChosen = true;
    if (static_cast<std::size_t>(found - metrics.begin()) == m_metric)
        return;
    m_metric = static_cast<std::size_t>(found - metrics.begin());
    m_settingsModified = true;
    if (m_model) {
        buildTable();
        Q_EMIT tableChanged();
        refreshTotals();
        startMeasuring(); // the sink has what was measured
    }
    Q_EMIT settingsChanged();
    Q_EMIT titleChanged();
}

void Document::setShownMetrics(std::vector<const Metric*> metrics)
{
    const bool isMore = std::ranges::any_of(metrics, [this](const Metric* metric) {
        return metric->isSlow && metric != this->metric() && std::ranges::count(m_shownMetrics, metric) == 0;
    });
    m_shownMetrics = std::move(metrics);
    if (isMore && m_model && !m_jobs.isRunning(QStringLiteral("statistics"))) // which measuring follows
        startMeasuring();
}

std::map<std::string, std::string> Document::settings() const
{
    std::vector<std::string> own;
    for (const Candidate& candidate : m_ownCandidates)
        own.push_back(printCandidate(candidate));
    std::map<std::string, std::string> words{
        {"target", m_plan.target},
        {"metric", m_isMetricChosen && metric() ? std::string(metric()->id) : std::string()},
        {"budget", printBudget(budget()).toStdString()},
        {"limits", printLimits(withoutBudget(m_limits))},
        {"candidates", join(own, ",")}};
    for (const auto& [variant, plan] : m_plans)
        if (variant != variantText())
            words[std::string(kPlanSetting) + variant] = plan;
    for (const auto& [variant, plans] : m_plansNamed)
        words[std::string(kPlansSetting) + variant] = plans;
    words.erase(std::string(kPlansSetting) + variantText());
    if (m_named != firstPlan())
        words[std::string(kPlansSetting) + variantText()] = printNamedPlans(m_named);
    return words;
}

void Document::takeSettings(const std::map<std::string, std::string>& settings)
{
    const auto setting = [&](const char* key) {
        const auto found = settings.find(key);
        return found == settings.end() ? std::string() : found->second;
    };
    for (const auto& [key, plan] : settings)
        if (key.starts_with(kPlanSetting))
            m_plans[key.substr(kPlanSetting.size())] = plan;
    for (const auto& [key, plans] : settings)
        if (key.starts_with(kPlansSetting))
            m_plansNamed[key.substr(kPlansSetting.size())] = plans;
    takeNamedPlans();
    if (auto own = parseCandidates(setting("candidates")); own)
        m_ownCandidates = std::move(*own);
    const auto metrics = allMetrics();
    for (std::size_t i = 0; i < metrics.size(); ++i) {
        if (metrics[i]->id == setting("metric") && checkUsable(*metrics[i], m_activations.get())) {
            m_metric = i;
            m_isMetricChosen = true;
        }
    }
    if (settings.contains("limits"))
        m_limits = limitsWith(parseLimits(setting("limits")), budget());
    if (const auto budget = parseBudget(toQString(setting("budget"))))
        m_limits = limitsWith(m_limits, *budget);
    buildTable();
}

void Document::restoreSettings(const std::map<std::string, std::string>& settings)
{
    if (!m_model)
        return;
    takeSettings(settings);
    m_settingsModified = true;
    Q_EMIT plansChanged();
    Q_EMIT tableChanged();
    Q_EMIT settingsChanged();
    Q_EMIT titleChanged();
    refreshTotals();
    startMeasuring();
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
        Q_EMIT totalsChanged();
        return;
    }
    m_totals.payloadBits = m_planTotals->payloadBits();
    m_totals.bitsPerWeight = m_planTotals->bitsPerWeight();
    m_totals.loss = m_planTotals->loss();
    m_totals.unmeasured = m_planTotals->unmeasured();
    m_totals.probed = m_totals.exact = 0;
    double variance = 0;
    for (std::size_t item = 0; item < m_table->items.size(); ++item)
        if (const auto column = m_planTotals->columnOf(item);
            column && !m_table->candidateOf(item, *column).weights.isKeep()) {
            const Cost& cost = m_table->at(item, *column);
            m_totals.probed += cost.evidence == Evidence::probed ? 1 : 0;
            m_totals.exact += cost.evidence == Evidence::measured ? 1 : 0;
            variance += cost.standardError * cost.standardError;
        }
    m_totals.lossError = std::sqrt(variance);
    if (!m_bytesTimer.isActive()) // they are shown together, with the bytes of the same plan
        m_bytesTimer.start();
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
