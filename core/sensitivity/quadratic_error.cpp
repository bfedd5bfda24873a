// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/quadratic_error.h"

#include "core/base/linear_algebra.h"
#include "core/base/sum.h"
#include "core/jobs/tiles.h"
#include "core/sensitivity/weight_differences.h"

#include <cmath>

namespace ql::metrics {

namespace {

constexpr std::int64_t kBlockElements = std::int64_t{1} << 23;
constexpr std::int64_t kGrainElements = std::int64_t{1} << 16;

/// √a_r·(W − Ŵ) of rows [first, last).
Result<void> differences(const MetricInput& input, std::int64_t first, std::int64_t last, const double* rowWeights,
                         double* out, const JobContext& context)
{
    const std::int64_t cols = input.quantized.matrix().cols;
    const std::int64_t grain = std::max<std::int64_t>(1, kGrainElements / cols);
    return parallelFor(context, last - first, grain, [&](std::int64_t begin, std::int64_t end) {
        weightDifferences(input, first + begin, first + end, out + begin * cols);
        for (std::int64_t r = begin; rowWeights && r < end; ++r) {
            const double root = std::sqrt(rowWeights[r]);
            for (std::int64_t c = 0; c < cols; ++c)
                out[r * cols + c] *= root;
        }
    });
}

} // namespace

Result<double> quadraticError(const MetricInput& input, std::int64_t begin, std::int64_t end, const double* h,
                              std::span<const double> rowWeights, const JobContext& context)
{
    const std::int64_t cols = input.quantized.matrix().cols;
    if (begin == end || cols == 0)
        return 0.0;
    const std::int64_t blockRows = std::min(end - begin, std::max<std::int64_t>(1, kBlockElements / cols));
    QL_CHECK(context.checkMemory(blockRows * cols * static_cast<std::int64_t>(sizeof(double)), "the output error"));
    Buffer block(blockRows * cols * static_cast<std::int64_t>(sizeof(double)));
    CompensatedSum sum;
    for (std::int64_t first = begin; first < end; first += blockRows) {
        const std::int64_t last = std::min(end, first + blockRows);
        const double* weights = rowWeights.empty() ? nullptr : rowWeights.data() + (first - begin);
        QL_CHECK(differences(input, first, last, weights, block.as<double>(), context));
        QL_TRY(part, quadraticTrace(block.as<double>(), last - first, cols, h, parallelTiles(context)));
        sum.add(part);
    }
    return std::max(0.0, sum.value()); // H is positive semidefinite only up to rounding
}

} // namespace ql::metrics
