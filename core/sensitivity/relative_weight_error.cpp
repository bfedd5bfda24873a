// SPDX-License-Identifier: GPL-3.0-or-later
// The share of the weights' energy that is lost: QSNR in dB is −10·log10 of it.
#include "core/sensitivity/metric.h"

namespace ql::metrics {

namespace {
Result<double> measureRelativeWeightError(const MetricInput& input, const JobContext&)
{
    return input.error.sumSquares > 0 ? input.error.sumSquaredError / input.error.sumSquares : 0;
}
} // namespace

extern const Metric relative_weight_error;
const Metric relative_weight_error{
    .id = "relative_weight_error",
    .title = "Relative weight error",
    .unit = "of the weights' energy",
    .formula = "Σ (w − ŵ)² / Σ w² = 10^(−QSNR/10)",
    .source = "",
    .needs = MetricNeeds::nothing,
    .measure = measureRelativeWeightError,
    .isProxy = true,
};

} // namespace ql::metrics
