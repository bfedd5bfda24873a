// SPDX-License-Identifier: GPL-3.0-or-later
// Bits alone: what any other metric has to beat.
#include "core/sensitivity/metric.h"

#include <algorithm>

namespace ql::metrics {

namespace {
Result<double> measureSize(const MetricInput& input, const JobContext&)
{
    const double before = info(input.weights.dtype).bitsPerElement() * static_cast<double>(input.weights.numel());
    return std::max(0.0, before - static_cast<double>(input.quantized.payloadBits()));
}
} // namespace

extern const Metric size;
const Metric size{
    .id = "size",
    .title = "Bits taken away",
    .unit = "bits",
    .formula = "bits of the checkpoint's weights − bits of the candidate",
    .source = "Dong et al., EMQ, ICCV 2023: the baseline of its comparison",
    .needs = MetricNeeds::nothing,
    .measure = measureSize,
    .isProxy = true,
};

} // namespace ql::metrics
