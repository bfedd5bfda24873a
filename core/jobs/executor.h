// SPDX-License-Identifier: GPL-3.0-or-later
// The background pool, owned by the program's main and passed by reference; there is no global one, so tests run with
// 1, 2 and N threads in one process. Two back ends give equal results: oneTBB (default) and plain std::jthread, which
// ThreadSanitizer understands.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>

namespace ql {

class Executor {
public:
    enum class Backend { tbb, threads };

    /// threads = 0: all cores.
    explicit Executor(int threads = 0, Backend backend = Backend::tbb);
    struct Pool; // a back end, see core/jobs/pool.h
    Executor(int threads, std::unique_ptr<Pool> pool);
    ~Executor();
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;

    int threadCount() const { return m_threadCount; }

    /// Calls body(i) for every i in [0, n) on the pool and returns when all are done, or, after a stop request, when
    /// those begun are done. Exceptions of a body are rethrown here. Use core/jobs/parallel.h instead of this.
    void forEach(std::int64_t n, const std::stop_token& stop, const std::function<void(std::int64_t)>& body);

private:
    int m_threadCount;
    std::unique_ptr<Pool> m_pool;
};

} // namespace ql
