// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/validation_runs.h"

#include "core/model/evaluation/evaluate.h"
#include "core/realize/planned_version.h"
#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/text/format.h"

#include <QFileInfo>

#include <algorithm>
#include <map>

namespace ql::views {

namespace {

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

ValidationRuns::ValidationRuns(Document& document, JobRunner& jobs)
    : m_document(document),
      m_jobs(jobs),
      m_feed(jobs, this, QStringLiteral("validate"),
             [this](const std::vector<ValidationPoint>& points) { take(points); })
{
    connect(&m_document, &Document::modelChanged, this, &ValidationRuns::takeOver);
    connect(&m_document, &Document::saved, this, &ValidationRuns::keep); // it may be another study
}

void ValidationRuns::start(const ValidationChoice& choice)
{
    m_problem.clear();
    m_windowsWanted = choice.text->windowCount(choice.length, choice.limit);
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
    m_feed.start(
        tr("Validating on %1").arg(QFileInfo(choice.text->path).fileName()),
        [choice, model = m_document.model(), plan = m_document.plan(), activations = m_document.activations(),
         target = m_document.target()](JobMailbox<ValidationPoint>& points, const JobContext& context) -> Result<void> {
            QL_TRY(windows, choice.text->tokens.windows(choice.length, choice.limit));
            QL_TRY(other, plannedVersion(*model,
                                         {.plan = &plan,
                                          .target = target ? &target->profile : nullptr,
                                          .activations = activations.get(),
                                          .runtime = choice.runtime},
                                         context));
            std::int64_t through = 0;
            EvaluationTask task{.graph = choice.text->graph,
                                .windows = windows,
                                .model = ownVersion(*model),
                                .other = &other,
                                .onScores = {},
                                .known = {}};
            const std::int64_t perWindow = windows.length - firstScored(windows.length, task.scored);
            task.onScores = [&](const std::vector<TokenScore>& scores, std::int64_t count) {
                const std::int64_t from = std::exchange(through, count);
                return putPoints(points, scores, perWindow, from, count, context);
            };
            QL_CHECK(evaluate(task, context));
            return model->checkpoint->checkIntact();
        },
        [this](const Result<void>& result) { finish(result); });
    Q_EMIT stateChanged();
}

void ValidationRuns::cancel()
{
    m_feed.cancel();
}

void ValidationRuns::take(const std::vector<ValidationPoint>& points)
{
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
    m_begun.reset();
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
    m_feed.drop();
    m_begun.reset();
    m_problem.clear();
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
