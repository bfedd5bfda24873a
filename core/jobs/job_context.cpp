// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/jobs/job_context.h"

#include "core/base/text.h"

#include <algorithm>

namespace ql {

double Progress::fraction() const
{
    if (m_finished.load(std::memory_order_relaxed))
        return 1;
    const auto total = static_cast<double>(m_total.load(std::memory_order_relaxed));
    const auto done = static_cast<double>(m_done.load(std::memory_order_relaxed));
    const double now = total > 0 ? std::min(done / total, 0.999) : 0;
    double shown = m_shown.load(std::memory_order_relaxed);
    while (shown < now && !m_shown.compare_exchange_weak(shown, now, std::memory_order_relaxed)) {
    }
    return std::max(shown, now);
}

Result<void> JobContext::checkMemory(std::int64_t bytes, const char* what) const
{
    if (m_memoryLimitBytes > 0 && bytes > m_memoryLimitBytes)
        return Error{Errc::outOfMemory,
                     std::string(what) + " needs " + formatBytes(bytes) + ", more than the limit of " +
                         formatBytes(m_memoryLimitBytes),
                     {}};
    return {};
}

} // namespace ql
