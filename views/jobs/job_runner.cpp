// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/jobs/job_runner.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <new>
#include <thread>

namespace ql::views {

namespace {

constexpr int kPollMs = 40;
constexpr double kRemainingKnownFrom = 0.05; // an estimate from less jumps about

} // namespace

struct JobRunner::Job {
    std::uint64_t id = 0;
    JobSpec spec;
    QPointer<QObject> receiver;
    Deliver deliver;
    Progress progress;
    QElapsedTimer clock;
    bool replaced = false;
    // Written by the thread before it posts finish(), read after.
    std::optional<Error> error;
    bool threw = false;
    std::jthread thread; // last: joined before the rest goes
};

JobRunner::JobRunner(Executor& executor, QObject* parent) : QObject(parent), m_executor(executor)
{
    m_poll.setInterval(kPollMs);
    connect(&m_poll, &QTimer::timeout, this, &JobRunner::changed);
}

JobRunner::~JobRunner()
{
    for (const auto& job : m_jobs)
        job->thread.request_stop();
    m_jobs.clear();
}

std::uint64_t JobRunner::startErased(const JobSpec& spec, QObject* receiver, Run run, Deliver deliver)
{
    cancelChannel(spec.channel);
    auto owned = std::make_unique<Job>();
    Job* job = owned.get();
    job->id = ++m_lastId;
    job->spec = spec;
    job->receiver = receiver;
    job->deliver = std::move(deliver);
    job->clock.start();
    m_jobs.push_back(std::move(owned));
    job->thread = std::jthread([this, job, run = std::move(run)](const std::stop_token& stop) {
        ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 5); // below the thread that paints
        try {
            job->error = run(JobContext(m_executor, stop, &job->progress));
        } catch (const std::bad_alloc&) {
            job->threw = true;
            job->error = Error{Errc::outOfMemory, "not enough memory; close other programs or a larger model", {}};
        } catch (const std::exception& exception) {
            job->threw = true;
            job->error = Error{Errc::badInput, std::string("unexpected failure: ") + exception.what(), {}};
        }
        QMetaObject::invokeMethod(
            this, [this, id = job->id] { finish(id); }, Qt::QueuedConnection);
    });
    if (!m_poll.isActive())
        m_poll.start();
    return job->id;
}

void JobRunner::finish(std::uint64_t id)
{
    const auto found = std::find_if(m_jobs.begin(), m_jobs.end(), [id](const auto& job) { return job->id == id; });
    if (found == m_jobs.end())
        return;
    const std::unique_ptr<Job> job = std::move(*found);
    m_jobs.erase(found);
    job->thread.join();
    if (m_jobs.empty())
        m_poll.stop();
    Q_EMIT changed();
    if (job->replaced || !job->receiver)
        return;
    if (job->error && job->error->code != Errc::cancelled && !job->spec.quiet)
        report(job->spec.title, *job->error);
    job->deliver(job->threw ? &*job->error : nullptr);
}

void JobRunner::cancel(std::uint64_t id)
{
    for (const auto& job : m_jobs) {
        if (job->id == id)
            job->thread.request_stop();
    }
    Q_EMIT changed();
}

void JobRunner::cancelChannel(const QString& channel)
{
    if (channel.isEmpty())
        return;
    for (const auto& job : m_jobs) {
        if (job->spec.channel == channel) {
            job->replaced = true;
            job->thread.request_stop();
        }
    }
}

void JobRunner::cancelAll()
{
    for (const auto& job : m_jobs)
        job->thread.request_stop();
    Q_EMIT changed();
}

bool JobRunner::isRunning(const QString& channel) const
{
    return std::any_of(m_jobs.begin(), m_jobs.end(),
                       [&](const auto& job) { return job->spec.channel == channel && !job->replaced; });
}

std::vector<JobState> JobRunner::running() const
{
    std::vector<JobState> states;
    for (const auto& job : m_jobs) {
        if (job->replaced)
            continue;
        JobState state;
        state.id = job->id;
        state.title = job->spec.title;
        state.fraction = job->progress.fraction();
        state.elapsedSeconds = static_cast<double>(job->clock.elapsed()) / 1000;
        if (state.fraction >= kRemainingKnownFrom)
            state.remainingSeconds = state.elapsedSeconds * (1 - state.fraction) / state.fraction;
        state.stopping = job->thread.get_stop_source().stop_requested();
        states.push_back(state);
    }
    return states;
}

void JobRunner::clearFailures()
{
    m_failures.clear();
    Q_EMIT failuresChanged();
}

void JobRunner::report(const QString& title, const Error& error)
{
    m_failures.push_back({title, error});
    Q_EMIT failuresChanged();
}

} // namespace ql::views
