// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/metric.h"

namespace ql {

namespace metrics {
#define METRIC(id) extern const Metric id;
#include "core/sensitivity/metrics.def"
#undef METRIC
} // namespace metrics

std::span<const Metric* const> allMetrics()
{
    static constexpr const Metric* kAll[] = {
#define METRIC(id) &metrics::id,
#include "core/sensitivity/metrics.def"
#undef METRIC
    };
    return kAll;
}

Result<const Metric*> findMetric(std::string_view id)
{
    std::string known;
    for (const Metric* metric : allMetrics()) {
        if (metric->id == id)
            return metric;
        known += (known.empty() ? "" : ", ") + std::string(metric->id);
    }
    return usageError("there is no metric '" + std::string(id) + "'; there are " + known);
}

Result<void> checkMetric(const Metric& metric, const Activations* activations)
{
    const std::string id(metric.id);
    if (metric.needsActivations && !activations)
        return usageError(id + " needs activations");
    if (metric.needsGram && activations->isDiagonal())
        return refused(
            id + " needs all of XᵀX, and only its diagonal is known here; calibrate with --gram full, or take "
                 "the metric diagonal_error",
            activations->path().string());
    return {};
}

} // namespace ql
