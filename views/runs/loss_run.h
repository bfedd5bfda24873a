// SPDX-License-Identifier: GPL-3.0-or-later
// Losses of the open model's layers under the candidates on offer, in nats per token, better and better: beside what
// the metric says, first gradients along the change that the codes make, all cells in one pass; then the model run with
// one layer alone at a candidate, the most uncertain and most valuable cells first, until all are through, the time is
// up or it is stopped. Losses go to the document and into its study as they come, and what was kept is read when a
// model is opened. GUI thread only.
#pragma once

#include "core/plan/layer_losses.h"
#include "core/sensitivity/probed_losses.h"
#include "views/jobs/job_feed.h"
#include "views/runs/prepared_source.h"

#include <QObject>
#include <QTimer>

namespace ql::views {

class Document;

struct LossChoice {
    std::shared_ptr<const PreparedSource> source; // text that calibration did not see
    Portion portion;
    double limitSeconds = 0; // 0: none
};

/// What it takes, as far as it is known before: what quantizers take comes on top.
struct LossCost {
    std::int64_t cells = 0; // layers × candidates
    double gradientSeconds = 0;
    std::int64_t gradientBytes = 0;
    std::int64_t studyBytes = 0;
    double cellSeconds = 0; // at most, to run one cell
    std::int64_t exactBytes = 0;
};

class LossRun : public QObject {
    Q_OBJECT
public:
    enum class State { idle, running, stopped, finished, failed };
    enum class Stage { gradients, exact };

    LossRun(Document& document, JobRunner& jobs);

    /// Why losses cannot be measured now; empty if they can.
    QString obstacle() const;
    LossCost cost(const LossChoice& choice) const;
    /// Goes on from what the study holds of the same text. The chosen loss becomes one in nats per token.
    void start(const LossChoice& choice);
    void stop();
    State state() const { return m_state; }
    Stage stage() const { return m_stage; }
    bool isTimeUp() const { return m_isTimeUp; }
    /// Why it failed.
    const QString& problem() const { return m_problem; }
    std::uint64_t job() const { return m_feed.job(); }
    /// Windows that gradients have seen, and cells that were run alone in this run.
    std::int64_t windows() const { return m_windows; }
    std::int64_t cells() const { return m_cells; }

Q_SIGNALS:
    void changed();

private:
    struct Arrival {
        LayerLosses losses;
        std::int64_t done = 0; // windows, or cells
    };
    /// What both stages measure.
    struct Table {
        std::vector<std::int64_t> layers;
        std::vector<Candidate> candidates;
        const TargetProfile* target = nullptr;
        std::shared_ptr<const Activations> activations;
        std::shared_ptr<ResultSink> sink;
        LayerLosses known; // when the stage began
    };
    using Work = Result<void> (*)(const LossChoice& choice, const Table& table, JobMailbox<Arrival>& arrivals,
                                  const JobContext& context);
    static GradientProbeTask gradientTask(const LossChoice& choice, const Table& table,
                                          const graph::WeightSource& weights, const Windows& windows);
    static Result<void> probeAll(const LossChoice& choice, const Table& table, JobMailbox<Arrival>& arrivals,
                                 const JobContext& context);
    static Result<void> runCells(const LossChoice& choice, const Table& table, JobMailbox<Arrival>& arrivals,
                                 const JobContext& context);
    Table table() const;
    void run(Stage stage);
    void take(const std::vector<Arrival>& arrivals);
    void finishStage(const Result<void>& result);
    void keepAll();
    void reset();
    void readKept();

    Document& m_document;
    JobRunner& m_jobs;
    LossChoice m_choice;
    State m_state = State::idle;
    Stage m_stage = Stage::gradients;
    bool m_isTimeUp = false;
    QString m_problem;
    std::int64_t m_windows = 0;
    std::int64_t m_cells = 0;
    QTimer m_limit;
    std::shared_ptr<ResultSink> m_sink;                          // of the stage
    std::pair<std::shared_ptr<const Model>, std::string> m_read; // model and activations whose losses were read
    JobFeed<Arrival> m_feed;
};

} // namespace ql::views
