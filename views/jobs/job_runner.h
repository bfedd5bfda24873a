// SPDX-License-Identifier: GPL-3.0-or-later
// Runs jobs beside the window: one thread a job (its loops run on the executor's pool), progress polled every 40 ms,
// the result delivered once in the GUI thread. A job of a channel replaces the earlier one of that channel: the old one
// is stopped and whatever it still returns is dropped. The destructor stops and joins. An exception of a job, which
// only third-party code throws, arrives as its error.
#pragma once

#include "core/jobs/job_context.h"

#include <QElapsedTimer>
#include <QObject>
#include <QPointer>
#include <QString>
#include <QTimer>

#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

namespace ql::views {

struct JobSpec {
    QString title;        // for people: "Measuring errors"
    QString channel = {}; // jobs of one channel replace each other; empty: independent
    bool quiet = false;   // its failure is shown by whoever started it, not in the list of problems
};

/// What the status bar shows of a running job.
struct JobState {
    std::uint64_t id = 0;
    QString title;
    double fraction = 0; // 0…1
    double elapsedSeconds = 0;
    double remainingSeconds = -1; // negative: not known yet
    bool stopping = false;
};

struct JobFailure {
    QString title;
    Error error;
};

class JobRunner : public QObject {
    Q_OBJECT
public:
    explicit JobRunner(Executor& executor, QObject* parent = nullptr);
    ~JobRunner() override;

    /// Runs work(const JobContext&) -> Result<T> and then done(Result<T>) in the GUI thread, unless the receiver is
    /// gone or the job was replaced. A cancelled job delivers its error of kind cancelled.
    template<typename Work, typename Done>
    std::uint64_t start(const JobSpec& spec, QObject* receiver, Work work, Done done)
    {
        using Outcome = std::invoke_result_t<Work, const JobContext&>;
        auto outcome = std::make_shared<std::optional<Outcome>>();
        return startErased(
            spec, receiver,
            [outcome, work = std::move(work)](const JobContext& context) -> std::optional<Error> {
                outcome->emplace(work(context));
                return (*outcome)->has_value() ? std::nullopt : std::optional<Error>((*outcome)->error());
            },
            [outcome, done = std::move(done)](const Error* thrown) {
                done(thrown ? Outcome(*thrown) : std::move(**outcome));
            });
    }

    void cancel(std::uint64_t id);
    void cancelChannel(const QString& channel);
    void cancelAll();
    bool isIdle() const { return m_jobs.empty(); }
    bool isRunning(const QString& channel) const;
    std::vector<JobState> running() const;
    const std::vector<JobFailure>& failures() const { return m_failures; }
    void clearFailures();
    /// Adds a problem that did not come from a job.
    void report(const QString& title, const Error& error);
    Executor& executor() const { return m_executor; }

Q_SIGNALS:
    void changed();         // jobs began, moved or ended; at most every 40 ms
    void failuresChanged(); // the list grew or was cleared

private:
    struct Job;
    using Run = std::function<std::optional<Error>(const JobContext&)>;
    using Deliver = std::function<void(const Error* thrown)>;
    std::uint64_t startErased(const JobSpec& spec, QObject* receiver, Run run, Deliver deliver);
    void finish(std::uint64_t id);

    Executor& m_executor;
    std::vector<std::unique_ptr<Job>> m_jobs;
    std::vector<JobFailure> m_failures;
    std::uint64_t m_lastId = 0;
    QTimer m_poll;
};

} // namespace ql::views
