// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/jobs/pool.h"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_scheduler_observer.h>
#include <sys/resource.h>
#include <unistd.h>

namespace ql {

namespace {

/// Workers run at a lower priority than the thread that paints the window.
class LowerPriority : public tbb::task_scheduler_observer {
public:
    explicit LowerPriority(tbb::task_arena& arena) : tbb::task_scheduler_observer(arena) { observe(true); }
    ~LowerPriority() override { observe(false); }
    void on_scheduler_entry(bool isWorker) override
    {
        if (isWorker)
            ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 5);
    }
};

struct TbbPool : Executor::Pool {
    explicit TbbPool(int threads)
        : limit(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads)),
          arena(threads),
          priority(arena)
    {}

    void forEach(std::int64_t n, const std::stop_token& stop, const std::function<void(std::int64_t)>& body) override
    {
        // Both halves are needed to stop at once: the group so that no new chunk starts, the test because one may be
        // starting.
        tbb::task_group_context group;
        const std::stop_callback cancel(stop, [&group] { group.cancel_group_execution(); });
        arena.execute([&] {
            tbb::parallel_for(
                tbb::blocked_range<std::int64_t>(0, n, 1),
                [&](const tbb::blocked_range<std::int64_t>& range) {
                    for (std::int64_t i = range.begin(); i < range.end(); ++i) {
                        if (stop.stop_requested())
                            return;
                        body(i);
                    }
                },
                group);
        });
    }

    tbb::global_control limit;
    tbb::task_arena arena;
    LowerPriority priority;
};

} // namespace

std::unique_ptr<Executor::Pool> makeTbbPool(int threads)
{
    return std::make_unique<TbbPool>(threads);
}

} // namespace ql
