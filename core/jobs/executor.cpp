// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/jobs/executor.h"

#include "core/jobs/pool.h"

#include <algorithm>
#include <thread>

namespace ql {

Executor::Executor(int threads, Backend backend)
    : m_threadCount(threads > 0 ? threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()))),
      m_pool(backend == Backend::tbb ? makeTbbPool(m_threadCount) : makeThreadPool(m_threadCount))
{}

Executor::Executor(int threads, std::unique_ptr<Pool> pool) : m_threadCount(threads), m_pool(std::move(pool)) {}

Executor::~Executor() = default;

void Executor::forEach(std::int64_t n, const std::stop_token& stop, const std::function<void(std::int64_t)>& body)
{
    if (n == 1) {
        if (!stop.stop_requested())
            body(0);
    } else if (n > 1) {
        m_pool->forEach(n, stop, body);
    }
}

} // namespace ql
