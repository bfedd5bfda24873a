// SPDX-License-Identifier: GPL-3.0-or-later
// tr(ΔW·H·ΔWᵀ) = ‖X·ΔWᵀ‖².
#include "core/sensitivity/quadratic_error.h"
#include "core/sensitivity/weight_differences.h"

namespace ql::metrics {

namespace {

/// Of rows [begin, end), which see the same inputs.
Result<double> errorOf(const MetricInput& input, const ActivationStatistics& statistics, std::int64_t begin,
                       std::int64_t end, const JobContext& context)
{
    const std::int64_t cols = input.quantized.matrix().cols;
    if (statistics.in != cols || std::ssize(statistics.gram) != cols * cols)
        return std::numeric_limits<double>::quiet_NaN();
    return quadraticError(input, begin, end, statistics.gram.data(), {}, context);
}

Result<double> measureOutputError(const MetricInput& input, const JobContext& context)
{
    return sumOverParts(input, [&](const ActivationStatistics& statistics, std::int64_t begin, std::int64_t end) {
        return errorOf(input, statistics, begin, end, context);
    });
}

} // namespace

extern const Metric output_error;
const Metric output_error{
    .id = "output_error",
    .title = "Squared output error",
    .unit = "output²",
    .formula = "tr(ΔW·H·ΔWᵀ), H = XᵀX",
    .source = "Frantar et al., GPTQ, ICLR 2023, eq. 1",
    .needs = MetricNeeds::gram,
    .measure = measureOutputError,
};

} // namespace ql::metrics
