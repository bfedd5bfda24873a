// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/metric.h"

namespace ql::metrics {

namespace {
Result<double> measureWeightError(const MetricInput& input, const JobContext&)
{
    return input.error.sumSquaredError;
}
} // namespace

extern const Metric weight_error;
const Metric weight_error{
    .id = "weight_error",
    .title = "Squared weight error (not KLD)",
    .unit = "weight²",
    .formula = "Σ (w − ŵ)²",
    .source = "",
    .needs = MetricNeeds::nothing,
    .measure = measureWeightError,
};

} // namespace ql::metrics
