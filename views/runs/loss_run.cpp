// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/loss_run.h"

#include "core/plan/plan_inputs.h"
#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/text/format.h"

#include <QDateTime>
#include <QFileInfo>

#include <chrono>
#include <map>

namespace ql::views {

namespace {

constexpr std::int64_t kBatchWindows = 16;     // gradients are complete, and shown, after each
constexpr std::chrono::seconds kKeepEvery{10}; // single cells

void date(LayerLosses& losses)
{
    for (LayerLoss& loss : losses.cells)
        loss.time = QDateTime::currentSecsSinceEpoch();
}

} // namespace

LossRun::LossRun(Document& document, JobRunner& jobs)
    : m_document(document),
      m_jobs(jobs),
      m_feed(jobs, this, QStringLiteral("measure losses"),
             [this](const std::vector<Arrival>& arrivals) { take(arrivals); })
{
    m_limit.setSingleShot(true);
    connect(&m_limit, &QTimer::timeout, this, [this] {
        m_isTimeUp = true;
        stop();
    });
    connect(&m_document, &Document::modelChanged, this, &LossRun::reset);
    connect(&m_document, &Document::tableChanged, this, &LossRun::readKept);
    connect(&m_document, &Document::saved, this, &LossRun::keepAll); // it may be another study
}

QString LossRun::obstacle() const
{
    if (!m_document.isOpen() || m_document.planLayers().empty())
        return tr("There is no layer to measure.");
    return probePredictor(m_document.activations().get())
               ? QString()
               : tr("Losses are measured as KLD in nats per token, beside a metric of that unit: calibrate with Fisher "
                    "information first (Model ▸ Calibrate…).");
}

LossRun::Table LossRun::table() const
{
    return {.layers = m_document.planLayers(),
            .candidates = m_document.table().candidates,
            .target = m_document.target() ? &m_document.target()->profile : nullptr,
            .activations = m_document.activations(),
            .sink = m_document.sink(),
            .known = m_document.losses()};
}

/// On all windows of the text, so that more of them add to what the study holds.
GradientProbeTask LossRun::gradientTask(const LossChoice& choice, const Table& table,
                                        const graph::WeightSource& weights, const Windows& windows)
{
    GradientProbeTask task{.model = choice.source->model(),
                           .graph = choice.source->graph(),
                           .weights = weights,
                           .windows = windows,
                           .layers = table.layers,
                           .candidates = table.candidates,
                           .target = table.target,
                           .activations = table.activations.get(),
                           .metric = probePredictor(table.activations.get())};
    task.settings.windows = choice.source->count(choice.portion);
    task.settings.batchWindows = kBatchWindows;
    task.sink = table.sink.get();
    return task;
}

LossCost LossRun::cost(const LossChoice& choice) const
{
    LossCost cost;
    const PreparedSource& source = *choice.source;
    const auto windows = source.text()->windows(choice.portion.length, choice.portion.limit);
    if (!windows)
        return cost;
    const Table its = table();
    const graph::CheckpointWeights weights(source.model());
    const CalibrationCost gradients = gradientProbeCost(gradientTask(choice, its, weights, *windows));
    cost.cells = std::ssize(its.layers) * std::ssize(its.candidates);
    cost.gradientSeconds = source.speed.secondsPerMultiplyAdd * gradients.multiplyAdds;
    cost.gradientBytes = gradients.memoryBytes;
    cost.studyBytes = gradients.resultBytes;
    cost.cellSeconds = source.runSeconds(choice.portion);
    cost.exactBytes =
        exactProbeBytes({.model = source.model(), .graph = source.graph(), .windows = *windows, .changes = {}});
    return cost;
}

Result<void> LossRun::probeAll(const LossChoice& choice, const Table& table, JobMailbox<Arrival>& arrivals,
                               const JobContext& context)
{
    QL_TRY(windows, choice.source->text()->windows(choice.portion.length, 0));
    const graph::CheckpointWeights weights(choice.source->model());
    GradientProbeTask task = gradientTask(choice, table, weights, windows);
    std::map<std::pair<std::int64_t, std::size_t>, ProbedCell> latest;
    std::int64_t told = 0;
    const auto tell = [&](std::int64_t through) -> Result<void> {
        told = through;
        std::vector<ProbedCell> cells;
        for (const auto& [where, cell] : latest)
            cells.push_back(cell);
        LayerLosses losses = tableOf(task, cells, pooledLosses(task, cells));
        date(losses);
        QL_CHECK(keepLosses(*table.sink, losses, task.model));
        arrivals.put({std::move(losses), through});
        return {};
    };
    task.onBatch = tell;
    QL_CHECK(probeGradients(
        task,
        [&](const ProbedCell& cell) {
            latest[{cell.layer, cell.candidate}] = cell;
        },
        context));
    return told == task.count() ? Result<void>() : tell(task.count()); // nothing was left to be run
}

Result<void> LossRun::runCells(const LossChoice& choice, const Table& table, JobMailbox<Arrival>& arrivals,
                               const JobContext& context)
{
    const PreparedSource& source = *choice.source;
    QL_TRY(windows, source.text()->windows(choice.portion.length, choice.portion.limit));
    const std::vector<ExactCell> cells = exactCells({.model = source.model(),
                                                     .groups = singleLayers(source.model(), table.layers),
                                                     .candidates = table.candidates,
                                                     .target = table.target,
                                                     .activations = table.activations.get(),
                                                     .known = std::span(&table.known, 1)});
    ExactProbeTask task{.model = source.model(),
                        .graph = source.graph(),
                        .windows = windows,
                        .changes = {},
                        .target = table.target,
                        .activations = table.activations.get(),
                        .sink = table.sink.get()};
    for (const ExactCell& cell : cells)
        task.changes.push_back(cell.change);
    QL_TRY(perWindow, scoredPerWindow(windows.length, task.scored));
    const LayerLosses none{.metric = std::string(kProbedLosses), // as the table that they complete
                           .activations = inputsFingerprint(table.activations.get()),
                           .candidates = table.candidates,
                           .cells = {}};
    LayerLosses unkept = none;
    std::int64_t done = 0;
    auto kept = std::chrono::steady_clock::now();
    Result<void> keeping;
    const auto keep = [&] {
        if (!unkept.cells.empty() && keeping)
            keeping = keepLosses(*table.sink, unkept, task.model);
        unkept.cells.clear();
        kept = std::chrono::steady_clock::now();
    };
    const auto probing = probeExactly(
        task,
        [&](const MeasuredChange& measured) {
            LayerLosses one = none;
            one.cells.push_back(exactLoss(cells[measured.change], measured, perWindow));
            date(one);
            unkept.cells.push_back(one.cells.front());
            arrivals.put({std::move(one), ++done});
            if (std::chrono::steady_clock::now() - kept > kKeepEvery)
                keep();
        },
        context);
    keep(); // whatever it was ended by
    QL_CHECK(probing);
    return keeping;
}

void LossRun::start(const LossChoice& choice)
{
    m_choice = choice;
    m_problem = obstacle();
    m_isTimeUp = false;
    m_windows = 0;
    m_cells = 0;
    if (m_problem.isEmpty() && choice.source->count(choice.portion) < 2)
        m_problem = tr("It takes two windows or more, whose spread tells the standard error.");
    if (!m_problem.isEmpty()) {
        m_state = State::failed;
        Q_EMIT changed();
        return;
    }
    if (!m_document.countsProbes())
        m_document.setMetric(probePredictor(m_document.activations().get()));
    m_state = State::running;
    if (choice.limitSeconds > 0)
        m_limit.start(static_cast<int>(1000 * choice.limitSeconds));
    run(Stage::gradients);
}

void LossRun::run(Stage stage)
{
    m_stage = stage;
    m_sink = m_document.sink();
    const QString source = QFileInfo(m_choice.source->path).fileName();
    const Work work = stage == Stage::gradients ? probeAll : runCells;
    m_feed.start(
        stage == Stage::gradients ? tr("Losses by gradients on %1").arg(source)
                                  : tr("Losses by running layers alone on %1").arg(source),
        [work, choice = m_choice, its = table()](JobMailbox<Arrival>& arrivals,
                                                 const JobContext& context) -> Result<bool> {
            QL_CHECK(work(choice, its, arrivals, context));
            return true;
        },
        [this](const Result<bool>& result) { finishStage(result ? Result<void>() : Result<void>(result.error())); });
    Q_EMIT changed();
}

void LossRun::stop()
{
    m_feed.cancel();
}

void LossRun::take(const std::vector<Arrival>& arrivals)
{
    for (const Arrival& arrival : arrivals)
        m_document.addLosses(arrival.losses);
    (m_stage == Stage::gradients ? m_windows : m_cells) = arrivals.back().done;
    Q_EMIT changed();
}

void LossRun::finishStage(const Result<void>& result)
{
    if (result && m_stage == Stage::gradients && !m_isTimeUp) {
        run(Stage::exact);
        return;
    }
    m_limit.stop();
    if (result) {
        m_state = m_isTimeUp ? State::stopped : State::finished;
    } else if (result.error().code == Errc::cancelled) {
        m_state = State::stopped;
    } else {
        m_state = State::failed;
        m_problem = errorText(result.error());
    }
    if (m_sink != m_document.sink()) // it was saved under another name meanwhile
        keepAll();
    Q_EMIT changed();
}

/// What another study does not have yet.
void LossRun::keepAll()
{
    LayerLosses losses = m_document.losses();
    if (losses.cells.empty())
        return;
    m_jobs.start(
        {.title = tr("Keeping losses"), .channel = QStringLiteral("keep losses")}, this,
        [losses = std::move(losses), sink = m_document.sink(), model = m_document.model()](const JobContext&) {
            return keepLosses(*sink, losses, *model);
        },
        [](const Result<void>&) {});
}

void LossRun::reset()
{
    m_feed.drop();
    m_limit.stop();
    m_choice = {};
    m_sink.reset();
    m_state = State::idle;
    Q_EMIT changed();
}

/// What the study holds of this model and these activations.
void LossRun::readKept()
{
    const std::pair now(m_document.model(), m_document.lossInputs());
    if (now == m_read)
        return;
    m_read = now;
    if (!m_document.isOpen())
        return;
    m_jobs.start(
        {.title = tr("Reading losses"), .channel = QStringLiteral("read losses")}, this,
        [sink = m_document.sink(), model = now.first, inputs = now.second](const JobContext&) -> Result<LayerLosses> {
            return keptLosses(*sink, *model, inputs);
        },
        [this, now](const Result<LayerLosses>& losses) {
            if (losses && now == m_read)
                m_document.addLosses(*losses);
        });
}

} // namespace ql::views
