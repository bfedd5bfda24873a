// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/calibration_run.h"

#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/text/format.h"

#include <QFileInfo>

namespace ql::views {

namespace {

/// Hands pieces on and remembers whose they are.
class NotingSink final : public ResultSink {
public:
    NotingSink(ResultSink& sink, const Model& model)
        : m_sink(sink), m_model(model), m_sites(findCalibration(sink, model))
    {}
    const CalibratedSites& sites() const { return m_sites; }
    Result<void> keep(const std::string& key, std::span<const std::byte> bytes) override
    {
        QL_CHECK(m_sink.keep(key, bytes));
        m_sites.note(m_model, key, bytes);
        return {};
    }
    std::optional<std::vector<std::byte>> find(const std::string& key) const override { return m_sink.find(key); }
    std::optional<std::vector<std::byte>> findHead(const std::string& key, std::size_t bytes) const override
    {
        return m_sink.findHead(key, bytes);
    }

private:
    ResultSink& m_sink;
    const Model& m_model;
    CalibratedSites m_sites;
};

} // namespace

CalibrationRun::CalibrationRun(Document& document, JobRunner& jobs)
    : m_document(document),
      m_jobs(jobs),
      m_feed(jobs, this, QStringLiteral("calibrate"), [this](const std::vector<Arrival>& arrivals) { take(arrivals); })
{
    connect(&m_document, &Document::modelChanged, this, &CalibrationRun::reset);
}

void CalibrationRun::start(const CalibrationChoice& choice)
{
    m_choice = choice;
    m_state = State::running;
    m_problem.clear();
    m_count = 0;
    m_block = -1;
    m_sink = m_document.sink();
    m_feed.start(
        tr("Calibrating on %1").arg(QFileInfo(choice.source->path).fileName()),
        [choice, sink = m_sink](JobMailbox<Arrival>& arrivals, const JobContext& context) -> Result<std::int64_t> {
            const PreparedSource& source = *choice.source;
            QL_TRY(cases, source.calibrationCases(choice.portion));
            const graph::CheckpointWeights weights(source.model());
            NotingSink noting(*sink, source.model());
            const CalibrationTask task{source.model(),
                                       source.graph(),
                                       weights,
                                       cases,
                                       choice.settings,
                                       noting,
                                       [&](std::int64_t block, std::int64_t through) {
                                           arrivals.put({block, through, noting.sites()});
                                       }};
            QL_CHECK(calibrate(task, context));
            return cases.count;
        },
        [this](const Result<std::int64_t>& count) { finish(count); });
    Q_EMIT changed();
}

void CalibrationRun::pause()
{
    m_feed.cancel();
}

void CalibrationRun::take(const std::vector<Arrival>& arrivals)
{
    const Arrival& last = arrivals.back();
    m_block = last.block;
    m_count = last.count;
    if (auto activations = calibratedActivations(m_sink, last.sites, {})) // the embedding alone has none
        m_document.showActivations(std::move(activations));
    Q_EMIT changed();
}

void CalibrationRun::finish(const Result<std::int64_t>& count)
{
    if (count) {
        m_state = State::finished;
        m_count = *count;
    } else if (count.error().code == Errc::cancelled) {
        m_state = State::paused;
    } else {
        m_state = State::failed;
        m_problem = errorText(count.error());
    }
    if (m_sink != m_document.sink()) // it was saved under another name meanwhile
        m_jobs.start(
            {.title = tr("Keeping the calibration")}, this,
            [from = m_sink, to = m_document.sink(), model = m_document.model()](const JobContext&) {
                return copyCalibration(*from, *to, *model);
            },
            [](const Result<void>&) {});
    m_document.measureWithActivations();
    Q_EMIT changed();
}

void CalibrationRun::reset()
{
    m_feed.drop();
    m_sink.reset();
    m_choice = {};
    m_state = State::idle;
    Q_EMIT changed();
}

} // namespace ql::views
