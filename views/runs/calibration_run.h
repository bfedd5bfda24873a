// SPDX-License-Identifier: GPL-3.0-or-later
// The calibration of the open model: what its layers see, then, where asked for, figures along the depth, how much each
// weight matters and traces of the Hessian. Runs as jobs, one after the other, leaves every piece in the study as it
// arrives, and can be stopped and gone on with at any time. GUI thread only.
#pragma once

#include "core/calibration/calibrated_activations.h"
#include "core/sensitivity/layer_curvature.h"
#include "views/jobs/job_feed.h"
#include "views/runs/prepared_source.h"

#include <QObject>

namespace ql::views {

class Document;

/// Traces of all layers together.
struct CurvatureChoice {
    std::int64_t probes = 16;
    std::int64_t windows = 4; // at most; 0: all of the portion
    Portion of(const Portion& all) const
    {
        return {.length = all.length,
                .limit = windows > 0 && all.limit > 0 ? std::min(windows, all.limit) : std::max(windows, all.limit)};
    }
    CurvatureSettings settings() const { return {.probes = probes, .tolerance = 0, .together = true}; }
};

struct CalibrationChoice {
    std::shared_ptr<const PreparedSource> source;
    Portion portion;
    CalibrationSettings settings;
    bool depth = false;                            // of language models, as the next two: depth_figures.h
    std::optional<FisherSettings> fisher = {};     // Gram matrices follow the settings
    std::optional<CurvatureChoice> curvature = {}; // layer_curvature.h
};

class CalibrationRun : public QObject {
    Q_OBJECT
public:
    enum class State { idle, running, paused, finished, failed };
    enum class Stage { inputs, depth, fisher, curvature }; // in the order they run

    CalibrationRun(Document& document, JobRunner& jobs);

    /// Goes on from what the study holds of the same source and settings.
    void start(const CalibrationChoice& choice);
    /// Stops; what finished is kept.
    void pause();
    void resume() { start(m_choice); }
    State state() const { return m_state; }
    /// That runs, or was the last to.
    Stage stage() const { return m_stage; }
    /// Why it failed.
    const QString& problem() const { return m_problem; }
    std::uint64_t job() const { return m_feed.job(); }
    /// Windows or cases that every layer has seen, and the block that was finished last.
    std::int64_t count() const { return m_count; }
    /// The same for people: "12 windows".
    QString countText() const { return countedCases(m_count, m_choice.source && m_choice.source->text()); }
    std::int64_t block() const { return m_block; }
    /// Windows that went backward.
    std::int64_t fisherCount() const { return m_fisherCount; }

Q_SIGNALS:
    void changed();

private:
    /// What the sink holds, and how far the stage is.
    struct Arrival {
        std::int64_t block = -1; // of inputs
        std::int64_t count = 0;
        CalibratedSites sites;
    };
    static Result<std::int64_t> runInputs(const CalibrationChoice& choice, ResultSink& sink,
                                          JobMailbox<Arrival>& arrivals, const JobContext& context);
    static Result<std::int64_t> runDepth(const CalibrationChoice& choice, ResultSink& sink,
                                         JobMailbox<Arrival>& arrivals, const JobContext& context);
    static Result<std::int64_t> runFisher(const CalibrationChoice& choice, ResultSink& sink,
                                          JobMailbox<Arrival>& arrivals, const JobContext& context);
    static Result<std::int64_t> runCurvature(const CalibrationChoice& choice, ResultSink& sink,
                                             JobMailbox<Arrival>& arrivals, const JobContext& context);
    void run(Stage stage);
    std::optional<Stage> following() const;
    void take(const std::vector<Arrival>& arrivals);
    void finishStage(const Result<std::int64_t>& count);
    void finish();
    void reset();

    Document& m_document;
    JobRunner& m_jobs;
    CalibrationChoice m_choice;
    State m_state = State::idle;
    Stage m_stage = Stage::inputs;
    QString m_problem;
    std::int64_t m_count = 0;
    std::int64_t m_fisherCount = 0;
    std::int64_t m_block = -1;
    std::shared_ptr<ResultSink> m_sink;
    JobFeed<Arrival> m_feed;
};

} // namespace ql::views
