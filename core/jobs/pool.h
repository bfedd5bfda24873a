// SPDX-License-Identifier: GPL-3.0-or-later
// What a back end of the Executor implements.
#pragma once

#include "core/jobs/executor.h"

namespace ql {

struct Executor::Pool {
    virtual ~Pool() = default;
    virtual void forEach(std::int64_t n, const std::stop_token& stop,
                         const std::function<void(std::int64_t)>& body) = 0;
};

std::unique_ptr<Executor::Pool> makeTbbPool(int threads);
std::unique_ptr<Executor::Pool> makeThreadPool(int threads);

} // namespace ql
