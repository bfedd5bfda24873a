// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/calibration_run.h"

#include "core/calibration/depth_figures.h"
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

Result<std::int64_t> CalibrationRun::runInputs(const CalibrationChoice& choice, ResultSink& sink,
                                               JobMailbox<Arrival>& arrivals, const JobContext& context)
{
    const PreparedSource& source = *choice.source;
    QL_TRY(cases, source.calibrationCases(choice.portion));
    const graph::CheckpointWeights weights(source.model());
    NotingSink noting(sink, source.model());
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
}

Result<std::int64_t> CalibrationRun::runDepth(const CalibrationChoice& choice, ResultSink& sink,
                                              JobMailbox<Arrival>& arrivals, const JobContext& context)
{
    const PreparedSource& source = *choice.source;
    QL_TRY(windows, source.text()->windows(choice.portion.length, choice.portion.limit));
    const graph::CheckpointWeights weights(source.model());
    QL_CHECK(measureDepth({source.model(), source.graph(), weights, windows, sink}, context));
    arrivals.put({-1, windows.count(), findCalibration(sink, source.model())});
    return windows.count();
}

Result<std::int64_t> CalibrationRun::runFisher(const CalibrationChoice& choice, ResultSink& sink,
                                               JobMailbox<Arrival>& arrivals, const JobContext& context)
{
    const PreparedSource& source = *choice.source;
    QL_TRY(windows, source.text()->windows(choice.portion.length, choice.portion.limit));
    const graph::CheckpointWeights weights(source.model());
    FisherSettings settings = *choice.fisher;
    settings.keepGramsAs(choice.settings);
    const auto tell = [&](std::int64_t through) -> Result<void> {
        arrivals.put({-1, through, findCalibration(sink, source.model())});
        return {};
    };
    const FisherTask task{source.model(), source.graph(), weights, windows, settings, sink, tell};
    QL_CHECK(estimateFisher(task, context));
    return task.count();
}

Result<std::int64_t> CalibrationRun::runCurvature(const CalibrationChoice& choice, ResultSink& sink,
                                                  JobMailbox<Arrival>& arrivals, const JobContext& context)
{
    const PreparedSource& source = *choice.source;
    const Portion portion = choice.curvature->of(choice.portion);
    QL_TRY(windows, source.text()->windows(portion.length, portion.limit));
    const graph::CheckpointWeights weights(source.model());
    QL_CHECK(measureCurvature({.model = source.model(),
                               .graph = source.graph(),
                               .weights = weights,
                               .windows = windows,
                               .layers = source.model().quantizableLayers(),
                               .settings = choice.curvature->settings(),
                               .sink = &sink,
                               .onLayer = {}},
                              context));
    arrivals.put({-1, windows.count(), findCalibration(sink, source.model())});
    return windows.count();
}

void CalibrationRun::start(const CalibrationChoice& choice)
{
    m_choice = choice;
    m_state = State::running;
    m_problem.clear();
    m_count = 0;
    m_fisherCount = 0;
    m_block = -1;
    m_sink = m_document.sink();
    run(Stage::inputs);
}

void CalibrationRun::run(Stage stage)
{
    m_stage = stage;
    const QString source = QFileInfo(m_choice.source->path).fileName();
    struct Work {
        QString title;
        Result<std::int64_t> (*run)(const CalibrationChoice&, ResultSink&, JobMailbox<Arrival>&, const JobContext&);
    };
    const auto workOf = [&]() -> Work {
        switch (stage) {
        case Stage::inputs:
            return {tr("Calibrating on %1"), runInputs};
        case Stage::depth:
            return {tr("Following %1 along the depth"), runDepth};
        case Stage::fisher:
            return {tr("Fisher information on %1"), runFisher};
        case Stage::curvature:
            return {tr("Traces of the Hessian on %1"), runCurvature};
        }
        return {};
    };
    const Work its = workOf();
    m_feed.start(
        its.title.arg(source),
        [work = its.run, choice = m_choice, sink = m_sink](JobMailbox<Arrival>& arrivals, const JobContext& context) {
            return work(choice, *sink, arrivals, context);
        },
        [this](const Result<std::int64_t>& count) { finishStage(count); });
    Q_EMIT changed();
}

std::optional<CalibrationRun::Stage> CalibrationRun::following() const
{
    if (!m_choice.source->runnable->isLanguageModel)
        return std::nullopt;
    const std::pair<Stage, bool> stages[] = {{Stage::depth, m_choice.depth},
                                             {Stage::fisher, m_choice.fisher.has_value()},
                                             {Stage::curvature, m_choice.curvature.has_value()}};
    for (const auto& [stage, isAskedFor] : stages)
        if (stage > m_stage && isAskedFor)
            return stage;
    return std::nullopt;
}

void CalibrationRun::pause()
{
    m_feed.cancel();
}

void CalibrationRun::take(const std::vector<Arrival>& arrivals)
{
    const Arrival& last = arrivals.back();
    if (m_stage == Stage::inputs) {
        m_block = last.block;
        m_count = last.count;
    } else if (m_stage == Stage::fisher) {
        m_fisherCount = last.count;
    }
    if (auto activations = calibratedActivations(m_sink, last.sites, {})) // the embedding alone has none
        m_document.showActivations(std::move(activations));
    Q_EMIT changed();
}

void CalibrationRun::finishStage(const Result<std::int64_t>& count)
{
    if (!count) {
        m_state = count.error().code == Errc::cancelled ? State::paused : State::failed;
        if (m_state == State::failed)
            m_problem = errorText(count.error());
        finish();
        return;
    }
    if (m_stage == Stage::inputs)
        m_count = *count;
    if (m_stage == Stage::fisher)
        m_fisherCount = *count;
    if (const auto next = following()) {
        run(*next);
        return;
    }
    m_state = State::finished;
    finish();
}

/// What is there is used from now on, however far it came.
void CalibrationRun::finish()
{
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
