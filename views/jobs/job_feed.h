// SPDX-License-Identifier: GPL-3.0-or-later
// A job that hands pieces over while it runs, one of its kind at a time: pieces arrive in the GUI thread in order, the
// last of them before its result. A member of the object that takes them. GUI thread only.
#pragma once

#include "views/jobs/job_mailbox.h"
#include "views/jobs/job_runner.h"

namespace ql::views {

template<typename Piece>
class JobFeed {
public:
    /// take(std::vector<Piece>) gets what has arrived, never nothing. The owner outlives this.
    JobFeed(JobRunner& jobs, QObject* owner, const QString& channel, std::function<void(std::vector<Piece>)> take)
        : m_jobs(jobs), m_owner(owner), m_channel(channel), m_take(std::move(take))
    {
        QObject::connect(&jobs, &JobRunner::changed, owner, [this] { drain(); });
    }

    /// Runs work(JobMailbox<Piece>&, const JobContext&) -> Result<T>, and then done(Result<T>) if nothing else was
    /// started and nothing was dropped meanwhile. The owner shows what fails.
    template<typename Work, typename Done>
    void start(const QString& title, Work work, Done done)
    {
        m_pieces = std::make_shared<JobMailbox<Piece>>();
        m_job = m_jobs.start(
            {.title = title, .channel = m_channel, .quiet = true}, m_owner,
            [pieces = m_pieces, work = std::move(work)](const JobContext& context) { return work(*pieces, context); },
            [this, done = std::move(done)](auto result) {
                drain();
                forget();
                done(std::move(result));
            });
    }
    /// Stops; the result that follows says so.
    void cancel() { m_jobs.cancel(m_job); }
    /// Stops, and nothing follows.
    void drop()
    {
        m_jobs.cancelChannel(m_channel);
        forget();
    }
    bool isRunning() const { return m_job != 0; }
    std::uint64_t job() const { return m_job; }

private:
    void drain()
    {
        std::vector<Piece> pieces = m_pieces ? m_pieces->takeAll() : std::vector<Piece>();
        if (!pieces.empty())
            m_take(std::move(pieces));
    }
    void forget()
    {
        m_pieces.reset();
        m_job = 0;
    }

    JobRunner& m_jobs;
    QObject* m_owner;
    QString m_channel;
    std::function<void(std::vector<Piece>)> m_take;
    std::shared_ptr<JobMailbox<Piece>> m_pieces;
    std::uint64_t m_job = 0;
};

} // namespace ql::views
