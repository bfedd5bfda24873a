// SPDX-License-Identifier: GPL-3.0-or-later
// How far the largest weight is beyond the usual one: what a scale of the whole layer has to reach.
#include "core/analysis/statistics.h"
#include "core/sensitivity/metric.h"

namespace ql::metrics {

namespace {
Result<double> crestOf(const LayerInput& input, const JobContext& context)
{
    QL_TRY(statistics, input.statistics(context));
    return statistics->crestFactor();
}
} // namespace

extern const Metric crest_factor;
const Metric crest_factor{
    .id = "crest_factor",
    .title = "Crest factor of the weights",
    .unit = "crest · NMSE",
    .formula = "max|w| / √(Σw²/n) · NMSE",
    .source = "INT v.s. FP: A Comprehensive Study of Fine-Grained Low-bit Quantization Formats, 2025, section 3",
    .needs = MetricNeeds::nothing,
    .ofLayer = crestOf,
    .isProxy = true,
};

} // namespace ql::metrics
