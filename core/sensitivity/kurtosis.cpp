// SPDX-License-Identifier: GPL-3.0-or-later
// Heavy tails waste the levels that a common scale has to spread over them.
#include "core/analysis/statistics.h"
#include "core/sensitivity/metric.h"

namespace ql::metrics {

namespace {
Result<double> kurtosisOf(const LayerInput& input, const JobContext& context)
{
    QL_TRY(statistics, input.statistics(context));
    return statistics->kurtosis;
}
} // namespace

extern const Metric kurtosis;
const Metric kurtosis{
    .id = "kurtosis",
    .title = "Kurtosis of the weights",
    .unit = "kurtosis · NMSE",
    .formula = "κ · NMSE, κ = n·Σ(w − mean)⁴ / (Σ(w − mean)²)²; 3 of a normal law",
    .source = "Pearson, 1905",
    .needs = MetricNeeds::nothing,
    .ofLayer = kurtosisOf,
    .isProxy = true,
};

} // namespace ql::metrics
