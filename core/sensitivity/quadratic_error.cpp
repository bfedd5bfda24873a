// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/quadratic_error.h"

#include "core/base/linear_algebra.h"
#include "core/base/sum.h"
#include "core/jobs/tiles.h"
#include "core/sensitivity/weight_differences.h"

#include <cmath>
#include <functional>

namespace ql::metrics {

namespace {

constexpr std::int64_t kBlockElements = std::int64_t{1} << 23;
constexpr std::int64_t kGrainElements = std::int64_t{1} << 16;

/// Writes rows [first, last) of a matrix.
using ReadRows = std::function<void(std::int64_t first, std::int64_t last, double* out)>;

/// √a_r·D of rows [first, last).
Result<void> readWeighted(const ReadRows& rowsOf, std::int64_t cols, std::int64_t first, std::int64_t last,
                          const double* rowWeights, double* out, const JobContext& context)
{
    const std::int64_t grain = std::max<std::int64_t>(1, kGrainElements / cols);
    return parallelFor(context, last - first, grain, [&](std::int64_t begin, std::int64_t end) {
        rowsOf(first + begin, first + end, out + begin * cols);
        for (std::int64_t r = begin; rowWeights && r < end; ++r) {
            const double root = std::sqrt(rowWeights[r]);
            for (std::int64_t c = 0; c < cols; ++c)
                out[r * cols + c] *= root;
        }
    });
}

/// Σ over rows [begin, end) of a_r·D_r·H·D_rᵀ.
Result<double> quadraticSum(const ReadRows& rowsOf, std::int64_t cols, std::int64_t begin, std::int64_t end,
                            const double* h, std::span<const double> rowWeights, const JobContext& context)
{
    if (begin == end || cols == 0)
        return 0.0;
    const std::int64_t blockRows = std::min(end - begin, std::max<std::int64_t>(1, kBlockElements / cols));
    QL_CHECK(context.checkMemory(blockRows * cols * static_cast<std::int64_t>(sizeof(double)), "the output error"));
    Buffer block(blockRows * cols * static_cast<std::int64_t>(sizeof(double)));
    CompensatedSum sum;
    for (std::int64_t first = begin; first < end; first += blockRows) {
        const std::int64_t last = std::min(end, first + blockRows);
        const double* weights = rowWeights.empty() ? nullptr : rowWeights.data() + (first - begin);
        QL_CHECK(readWeighted(rowsOf, cols, first, last, weights, block.as<double>(), context));
        QL_TRY(part, quadraticTrace(block.as<double>(), last - first, cols, h, parallelTiles(context)));
        sum.add(part);
    }
    return std::max(0.0, sum.value()); // H is positive semidefinite only up to rounding
}

} // namespace

Result<double> quadraticError(const MetricInput& input, std::int64_t begin, std::int64_t end, const double* h,
                              std::span<const double> rowWeights, const JobContext& context)
{
    const auto rowsOf = [&](std::int64_t first, std::int64_t last, double* out) {
        weightDifferences(input, first, last, out);
    };
    return quadraticSum(rowsOf, input.quantized.matrix().cols, begin, end, h, rowWeights, context);
}

Result<double> outputEnergy(const TensorView& weights, const ActivationStatistics* inputs, const JobContext& context)
{
    const MatrixShape matrix = matrixShape(weights.shape);
    const auto rowsOf = [&](std::int64_t first, std::int64_t last, double* out) {
        decode(weights.dtype, weights.data, first * matrix.cols, (last - first) * matrix.cols, out);
    };
    return sumOverParts(
        inputs, matrix.rows,
        [&](const ActivationStatistics& statistics, std::int64_t begin, std::int64_t end) -> Result<double> {
            if (statistics.in != matrix.cols || std::ssize(statistics.gram) != matrix.cols * matrix.cols)
                return std::numeric_limits<double>::quiet_NaN();
            return quadraticSum(rowsOf, matrix.cols, begin, end, statistics.gram.data(), {}, context);
        });
}

} // namespace ql::metrics
