// SPDX-License-Identifier: GPL-3.0-or-later
// What a job gets from whoever runs it: the pool, the stop token, a place for progress and a memory limit. A job is a
// function Result<T> work(JobContext&); it never calls back into views. At most 50 ms of work lie between two stop
// tests.
#pragma once

#include "core/base/result.h"
#include "core/jobs/executor.h"

#include <atomic>
#include <cstdint>
#include <stop_token>

namespace ql {

/// Written by workers, polled by whoever shows it. The fraction never falls, and is 1 only after finish().
class Progress {
public:
    /// Announces more work, in any unit that is proportional to time (bytes of weights, usually).
    void addTotal(std::int64_t units) { m_total.fetch_add(units, std::memory_order_relaxed); }
    void addDone(std::int64_t units) { m_done.fetch_add(units, std::memory_order_relaxed); }
    void finish() { m_finished.store(true, std::memory_order_relaxed); }
    /// 0…1.
    double fraction() const;

private:
    std::atomic<std::int64_t> m_total = 0;
    std::atomic<std::int64_t> m_done = 0;
    std::atomic<bool> m_finished = false;
    mutable std::atomic<double> m_shown = 0;
};

class JobContext {
public:
    /// The context refers to the executor and, if given, to the progress; both outlive it. memoryLimitBytes bounds what
    /// one job may allocate beyond the data it shows; 0 = no limit.
    explicit JobContext(Executor& executor, std::stop_token stop = {}, Progress* progress = nullptr,
                        std::int64_t memoryLimitBytes = 0)
        : m_executor(executor),
          m_stop(std::move(stop)),
          m_progress(progress ? progress : &m_ownProgress),
          m_memoryLimitBytes(memoryLimitBytes)
    {}

    Executor& executor() const { return m_executor; }
    const std::stop_token& stopToken() const { return m_stop; }
    bool stopRequested() const { return m_stop.stop_requested(); }
    /// An error of kind cancelled after a stop request.
    Result<void> checkStop() const { return stopRequested() ? Result<void>(cancelledError()) : Result<void>(); }
    Progress& progress() const { return *m_progress; }
    /// Refuses, before it is allocated, what would pass the memory limit.
    Result<void> checkMemory(std::int64_t bytes, const char* what) const;

private:
    Executor& m_executor;
    std::stop_token m_stop;
    mutable Progress m_ownProgress;
    Progress* m_progress;
    std::int64_t m_memoryLimitBytes;
};

} // namespace ql
