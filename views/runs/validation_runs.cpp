// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/validation_runs.h"

#include "core/realize/planned_version.h"
#include "views/document/document.h"
#include "views/document/plan_figures.h"
#include "views/jobs/job_runner.h"
#include "views/runs/predictions.h"
#include "views/runs/validation_work.h"
#include "views/text/format.h"

#include <QFileInfo>

#include <algorithm>
#include <map>

namespace ql::views {

namespace {

const std::string kKey = "validations";

/// Where what probes measured is kept: the study, once there is one.
std::vector<std::string> lossFiles(const Document& document)
{
    if (document.studyPath().isEmpty())
        return {};
    return {toPath(document.studyPath()).filename().string()};
}

} // namespace

ValidationRuns::ValidationRuns(Document& document, JobRunner& jobs, Predictions& predictions)
    : m_document(document),
      m_jobs(jobs),
      m_predictions(predictions),
      m_feed(jobs, this, QStringLiteral("validate"), [this](const std::vector<ValidationStep>& steps) { take(steps); })
{
    connect(&m_document, &Document::modelChanged, this, &ValidationRuns::takeOver);
    connect(&m_document, &Document::saved, this, &ValidationRuns::keep); // it may be another study
}

void ValidationRuns::start(const ValidationChoice& choice)
{
    m_problem.clear();
    m_last = choice;
    m_last->plan.reset();
    m_wanted = choice.source->count(choice.portion);
    const Plan plan = choice.plan.value_or(m_document.plan());
    const PlanFigures figures = figuresOf(m_document, plan);
    m_begun = ValidationRecord{.time = QDateTime::currentDateTime(),
                               .plan = planInShort(m_document, plan),
                               .planJson = toQString(printPlan(plan, *m_document.model())),
                               .variant = toQString(m_document.variantText()),
                               .bitsPerWeight = figures.bitsPerWeight,
                               .fileBytes = figures.fileBytes.value_or(0),
                               .predictedLoss = figures.loss,
                               .metric = m_document.metric() ? toQString(m_document.metric()->id) : QString(),
                               .source = choice.source->path,
                               .length = choice.source->length(choice.portion),
                               .runtime = choice.runtime ? toQString(choice.runtime->id) : QString(),
                               .points = {}};
    m_feed.start(
        tr("Validating on %1").arg(QFileInfo(choice.source->path).fileName()),
        [choice, plan, activations = m_document.activations(), base = m_document.baseModel(),
         variant = m_document.variant(), target = figures.target, sink = m_document.sink(),
         losses = m_document.probedTable(plan), probed = m_document.losses(), files = lossFiles(m_document),
         known = m_predictions.records()](JobMailbox<ValidationStep>& steps,
                                          const JobContext& context) -> Result<std::optional<PredictionRecord>> {
            QL_TRY(other, plannedVersion(choice.source->model(),
                                         {.plan = &plan,
                                          .target = target ? &target->profile : nullptr,
                                          .activations = activations.get(),
                                          .runtime = choice.runtime},
                                         context));
            const ModelVersion model = variant ? baseVersion(base, *variant) : ownVersion(choice.source->model());
            QL_TRY(measured, runValidation(*choice.source, choice.portion, model, other, steps, context));
            if (!measured)
                return std::optional<PredictionRecord>();
            return predictedAndMeasured({.source = *choice.source,
                                         .portion = choice.portion,
                                         .plan = plan,
                                         .target = target ? &target->profile : nullptr,
                                         .activations = activations.get(),
                                         .runtime = choice.runtime,
                                         .model = model,
                                         .other = other,
                                         .measured = *measured,
                                         .losses = losses.get(),
                                         .lossesName = losses ? lossesName(files, probed, choice.source->model()) : ""},
                                        known, sink.get(), context);
        },
        [this](const Result<std::optional<PredictionRecord>>& result) { finish(result); });
    Q_EMIT stateChanged();
}

std::optional<ValidationChoice> ValidationRuns::lastChoice() const
{
    return m_last && m_document.isOpen() && m_last->source->runnable->model == m_document.model() ? m_last
                                                                                                  : std::nullopt;
}

void ValidationRuns::cancel()
{
    m_feed.cancel();
}

void ValidationRuns::take(const std::vector<ValidationStep>& steps)
{
    const bool isNew = m_begun.has_value();
    if (isNew)
        m_records.push_back(*std::exchange(m_begun, std::nullopt));
    for (const ValidationStep& step : steps)
        m_records.back().add(step);
    if (isNew)
        Q_EMIT added();
    else
        Q_EMIT grown();
}

void ValidationRuns::finish(const Result<std::optional<PredictionRecord>>& result)
{
    m_begun.reset();
    if (result && *result)
        m_predictions.add(**result);
    if (!result && result.error().code != Errc::cancelled)
        m_problem = errorText(result.error());
    keep();
    Q_EMIT stateChanged();
}

void ValidationRuns::keep()
{
    if (m_records.empty())
        return;
    m_jobs.start(
        {.title = tr("Keeping validations"), .channel = QStringLiteral("keep validations")}, this,
        [sink = m_document.sink(), json = printRecords(m_records)](const JobContext&) {
            return sink->keep(kKey, std::as_bytes(std::span(json.constData(), static_cast<std::size_t>(json.size()))));
        },
        [](const Result<void>&) {});
}

void ValidationRuns::takeOver()
{
    const bool wasRunning = isRunning();
    m_feed.drop();
    m_begun.reset();
    m_problem.clear();
    m_last = lastChoice();                            // it would hold a model that is gone
    if (m_base && m_base == m_document.baseModel()) { // another variant of it: what was measured compares
        if (wasRunning)
            keep();
        Q_EMIT stateChanged();
        return;
    }
    m_base = m_document.baseModel();
    m_records.clear();
    Q_EMIT reset();
    Q_EMIT stateChanged();
    if (!m_document.isOpen())
        return;
    m_jobs.start(
        {.title = tr("Reading validations"), .channel = QStringLiteral("read validations")}, this,
        [sink = m_document.sink()](const JobContext&) -> Result<std::vector<ValidationRecord>> {
            const auto bytes = sink->find(kKey);
            if (!bytes)
                return std::vector<ValidationRecord>();
            return parseRecords(
                QByteArray(reinterpret_cast<const char*>(bytes->data()), static_cast<qsizetype>(bytes->size())));
        },
        [this, base = m_base](Result<std::vector<ValidationRecord>> records) {
            if (!records || records->empty() || base != m_base)
                return;
            m_records.insert(m_records.begin(), records->begin(), records->end());
            Q_EMIT reset();
        });
}

QString planInShort(const Document& document, const Plan& plan)
{
    std::map<std::string, int> counts;
    for (const std::int64_t layer : document.planLayers())
        ++counts[printCandidate(plan.candidates[static_cast<std::size_t>(layer)])];
    if (counts.size() > 1)
        counts.erase("keep");
    std::vector<std::pair<std::string, int>> sorted(counts.begin(), counts.end());
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    QStringList parts;
    for (const auto& [candidate, count] : sorted)
        parts << QStringLiteral("%1 ×%2").arg(toQString(candidate)).arg(count);
    return parts.join(QStringLiteral(", "));
}

} // namespace ql::views
