// SPDX-License-Identifier: GPL-3.0-or-later
// The calibration of the open model: runs as a job, leaves every block's statistics in the study as they arrive, and
// can be stopped and gone on with at any time. GUI thread only.
#pragma once

#include "core/calibration/calibrated_activations.h"
#include "views/jobs/job_feed.h"
#include "views/runs/prepared_source.h"

#include <QObject>

namespace ql::views {

class Document;

struct CalibrationChoice {
    std::shared_ptr<const PreparedSource> source;
    Portion portion;
    CalibrationSettings settings;
};

class CalibrationRun : public QObject {
    Q_OBJECT
public:
    enum class State { idle, running, paused, finished, failed };

    CalibrationRun(Document& document, JobRunner& jobs);

    /// Goes on from what the study holds of the same source and settings.
    void start(const CalibrationChoice& choice);
    /// Stops; what finished is kept.
    void pause();
    void resume() { start(m_choice); }
    State state() const { return m_state; }
    /// Why it failed.
    const QString& problem() const { return m_problem; }
    std::uint64_t job() const { return m_feed.job(); }
    /// Windows or cases that every layer has seen, and the block that was finished last.
    std::int64_t count() const { return m_count; }
    /// The same for people: "12 windows".
    QString countText() const { return countedCases(m_count, m_choice.source && m_choice.source->text()); }
    std::int64_t block() const { return m_block; }

Q_SIGNALS:
    void changed();

private:
    struct Arrival {
        std::int64_t block = -1;
        std::int64_t count = 0;
        CalibratedSites sites;
    };
    void take(const std::vector<Arrival>& arrivals);
    void finish(const Result<std::int64_t>& count);
    void reset();

    Document& m_document;
    JobRunner& m_jobs;
    CalibrationChoice m_choice;
    State m_state = State::idle;
    QString m_problem;
    std::int64_t m_count = 0;
    std::int64_t m_block = -1;
    std::shared_ptr<ResultSink> m_sink;
    JobFeed<Arrival> m_feed;
};

} // namespace ql::views
