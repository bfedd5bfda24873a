// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/jobs/pool.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace ql {

namespace {

/// Starts threads for each call: slower than a kept pool, but every hand-over is visible to ThreadSanitizer.
struct ThreadPool : Executor::Pool {
    explicit ThreadPool(int threads) : count(threads) {}

    void forEach(std::int64_t n, const std::stop_token& stop, const std::function<void(std::int64_t)>& body) override
    {
        std::atomic<std::int64_t> next = 0;
        std::atomic<bool> failed = false;
        std::exception_ptr failure;
        std::mutex failureMutex;
        const auto work = [&] {
            for (std::int64_t i = next++; i < n && !failed && !stop.stop_requested(); i = next++) {
                try {
                    body(i);
                } catch (...) {
                    const std::lock_guard lock(failureMutex);
                    if (!failed.exchange(true))
                        failure = std::current_exception();
                }
            }
        };
        {
            std::vector<std::jthread> helpers;
            for (std::int64_t t = 1; t < std::min<std::int64_t>(count, n); ++t)
                helpers.emplace_back(work);
            work();
        }
        if (failure)
            std::rethrow_exception(failure);
    }

    int count;
};

} // namespace

std::unique_ptr<Executor::Pool> makeThreadPool(int threads)
{
    return std::make_unique<ThreadPool>(threads);
}

} // namespace ql
