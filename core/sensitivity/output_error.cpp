// SPDX-License-Identifier: GPL-3.0-or-later
// tr(ΔW·H·ΔWᵀ) = ‖X·ΔWᵀ‖², by blocks of rows: at most 64 MiB of differences at a time.
#include "core/base/linear_algebra.h"
#include "core/base/sum.h"
#include "core/jobs/tiles.h"
#include "core/sensitivity/weight_differences.h"

namespace ql::metrics {

namespace {

constexpr std::int64_t kBlockElements = std::int64_t{1} << 23;
constexpr std::int64_t kGrainElements = std::int64_t{1} << 16;

/// W − Ŵ of rows [first, last).
Result<void> differences(const MetricInput& input, std::int64_t first, std::int64_t last, double* out,
                         const JobContext& context)
{
    const std::int64_t cols = input.quantized.matrix().cols;
    const std::int64_t grain = std::max<std::int64_t>(1, kGrainElements / cols);
    return parallelFor(context, last - first, grain, [&](std::int64_t begin, std::int64_t end) {
        weightDifferences(input, first + begin, first + end, out + begin * cols);
    });
}

/// Of rows [begin, end), which see the same inputs.
Result<double> errorOf(const MetricInput& input, const ActivationStatistics& statistics, std::int64_t begin,
                       std::int64_t end, const JobContext& context)
{
    const std::int64_t cols = input.quantized.matrix().cols;
    if (statistics.in != cols || std::ssize(statistics.gram) != cols * cols)
        return std::numeric_limits<double>::quiet_NaN();
    if (begin == end || cols == 0)
        return 0.0;
    const std::int64_t blockRows = std::min(end - begin, std::max<std::int64_t>(1, kBlockElements / cols));
    QL_CHECK(context.checkMemory(blockRows * cols * static_cast<std::int64_t>(sizeof(double)), "the output error"));
    Buffer block(blockRows * cols * static_cast<std::int64_t>(sizeof(double)));
    CompensatedSum sum;
    for (std::int64_t first = begin; first < end; first += blockRows) {
        const std::int64_t last = std::min(end, first + blockRows);
        QL_CHECK(differences(input, first, last, block.as<double>(), context));
        QL_TRY(part,
               quadraticTrace(block.as<double>(), last - first, cols, statistics.gram.data(), parallelTiles(context)));
        sum.add(part);
    }
    return std::max(0.0, sum.value()); // H is positive semidefinite only up to rounding
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
