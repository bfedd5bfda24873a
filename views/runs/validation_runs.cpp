// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/validation_runs.h"

#include "core/model/evaluation/evaluate.h"
#include "core/realize/plan_weights.h"
#include "core/realize/planned_version.h"
#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/text/format.h"

#include <QFileInfo>

#include <algorithm>
#include <map>

namespace ql::views {

namespace {

const QString kChannel = QStringLiteral("validate");
const std::string kKey = "validations";

/// A point for every window since the last call; `perWindow` scores each.
Result<void> putPoints(JobMailbox<ValidationPoint>& points, const std::vector<TokenScore>& scores,
                       std::int64_t perWindow, std::int64_t from, std::int64_t to, const JobContext& context)
{
    for (std::int64_t windows = from + 1; windows <= to; ++windows) {
        QL_CHECK(context.checkStop());
        points.put(pointOf({scores.begin(), scores.begin() + windows * perWindow}, windows));
    }
    return {};
}

} // namespace

ValidationRuns::ValidationRuns(Document& document, JobRunner& jobs) : m_document(document), m_jobs(jobs)
{
    connect(&m_jobs, &JobRunner::changed, this, &ValidationRuns::drain);
    connect(&m_document, &Document::modelChanged, this, &ValidationRuns::takeOver);
    connect(&m_document, &Document::saved, this, &ValidationRuns::keep); // it may be another study
}

void ValidationRuns::start(const ValidationChoice& choice)
{
    m_problem.clear();
    m_windowsWanted = choice.text->windowCount(choice.length, choice.limit);
    m_points = std::make_shared<JobMailbox<ValidationPoint>>();
    m_begun = ValidationRecord{.time = QDateTime::currentDateTime(),
                               .plan = planInShort(m_document),
                               .planJson = toQString(printPlan(m_document.plan(), *m_document.model())),
                               .bitsPerWeight = m_document.totals().bitsPerWeight,
                               .predictedLoss = m_document.totals().loss,
                               .metric = m_document.metric() ? toQString(m_document.metric()->id) : QString(),
                               .text = choice.text->path,
                               .length = choice.length,
                               .runtime = choice.runtime ? toQString(choice.runtime->id) : QString(),
                               .points = {}};
    m_job = m_jobs.start(
        {.title = tr("Validating on %1").arg(QFileInfo(choice.text->path).fileName()),
         .channel = kChannel,
         .quiet = true},
        this,
        [choice, points = m_points, model = m_document.model(), plan = m_document.plan(),
         activations = m_document.activations(),
         target = m_document.target()](const JobContext& context) -> Result<void> {
            QL_TRY(windows, choice.text->tokens.windows(choice.length, choice.limit));
            const graph::CheckpointWeights own(*model);
            const PlanWeights weights(*model, plan, target ? &target->profile : nullptr, activations.get());
            QL_TRY(other,
                   plannedVersion(
                       *model,
                       {.weights = weights, .plan = &plan, .activations = activations.get(), .runtime = choice.runtime},
                       context));
            std::int64_t through = 0;
            EvaluationTask task{.graph = choice.text->graph,
                                .windows = windows,
                                .model = {.weights = &own},
                                .other = &other,
                                .onScores = {},
                                .known = {}};
            const std::int64_t perWindow = windows.length - firstScored(windows.length, task.scored);
            task.onScores = [&](const std::vector<TokenScore>& scores, std::int64_t count) {
                const std::int64_t from = std::exchange(through, count);
                return putPoints(*points, scores, perWindow, from, count, context);
            };
            QL_CHECK(evaluate(task, context));
            return model->checkpoint->checkIntact();
        },
        [this](const Result<void>& result) { finish(result); });
    Q_EMIT stateChanged();
}

void ValidationRuns::cancel()
{
    m_jobs.cancel(m_job);
}

void ValidationRuns::drain()
{
    if (!m_points)
        return;
    const std::vector<ValidationPoint> points = m_points->takeAll();
    if (points.empty())
        return;
    const bool isNew = m_begun.has_value();
    if (isNew)
        m_records.push_back(*std::exchange(m_begun, std::nullopt));
    auto& all = m_records.back().points;
    all.insert(all.end(), points.begin(), points.end());
    if (isNew)
        Q_EMIT added();
    else
        Q_EMIT grown();
}

void ValidationRuns::finish(const Result<void>& result)
{
    drain();
    m_points.reset();
    m_begun.reset();
    m_job = 0;
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
    m_jobs.cancelChannel(kChannel);
    m_points.reset();
    m_begun.reset();
    m_problem.clear();
    m_job = 0;
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
        [this, model = m_document.model()](Result<std::vector<ValidationRecord>> records) {
            if (!records || records->empty() || model != m_document.model())
                return;
            m_records.insert(m_records.begin(), records->begin(), records->end());
            Q_EMIT reset();
        });
}

QString planInShort(const Document& document)
{
    std::map<std::string, int> counts;
    for (const std::int64_t layer : document.planLayers())
        ++counts[printCandidate(document.candidate(layer))];
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
