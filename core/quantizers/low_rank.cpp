// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/low_rank.h"

#include "core/base/sum.h"
#include "core/base/truncated_svd.h"
#include "core/formats/stored_f16.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"
#include "core/jobs/tiles.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

std::int64_t rowGrain(std::int64_t cols)
{
    return std::max<std::int64_t>(1, 65536 / std::max<std::int64_t>(1, cols));
}

std::vector<double> columnScales(std::span<const double> rms, std::int64_t cols)
{
    constexpr double kLeast = 1e-4; // of the largest: what no input reaches is not worth nothing
    std::vector<double> scales(static_cast<std::size_t>(cols), 1.0);
    const double largest = rms.empty() ? 0 : *std::ranges::max_element(rms);
    if (largest > 0)
        for (std::size_t j = 0; j < scales.size(); ++j)
            scales[j] = std::max(rms[j], kLeast * largest);
    return scales;
}

/// Calls body(row, out) with s·(w − ŵ) of each row.
template<typename Body>
void forRows(const TensorView& weights, const QuantizedTensor& quantized, const std::vector<double>& scales,
             std::int64_t begin, std::int64_t end, const Body& body)
{
    const auto cols = std::ssize(scales);
    WeightTile tile(weights);
    std::vector<float> restored(scales.size());
    std::vector<double> rest(scales.size());
    for (std::int64_t row = begin; row < end; ++row) {
        const float* w = tile.read(row * cols, cols);
        quantized.restoreRows(row, row + 1, restored.data());
        for (std::size_t j = 0; j < scales.size(); ++j)
            rest[j] =
                std::isfinite(w[j]) ? scales[j] * (static_cast<double>(w[j]) - static_cast<double>(restored[j])) : 0;
        body(row, rest);
    }
}

} // namespace

Result<LowRankFactors> factorsOfRest(const TensorView& weights, const QuantizedTensor& quantized, std::int64_t rank,
                                     std::span<const double> rms, const JobContext& context)
{
    const auto [rows, cols] = quantized.matrix();
    const std::vector<double> scales = columnScales(rms, cols);
    QL_CHECK(context.checkMemory(8 * rows * cols + 8 * (256 + 3 * rank) * (rows + cols), "the low-rank factors"));
    Buffer rest(8 * rows * cols);
    QL_CHECK(parallelFor(context, rows, rowGrain(cols), [&](std::int64_t begin, std::int64_t end) {
        forRows(weights, quantized, scales, begin, end, [&](std::int64_t row, const std::vector<double>& values) {
            std::ranges::copy(values, rest.as<double>() + row * static_cast<std::int64_t>(values.size()));
        });
    }));
    QL_TRY(svd, truncatedSvd(rest.as<double>(), rows, cols, rank, parallelTiles(context)));
    LowRankFactors factors{.rank = svd.rank, .left = {}, .right = {}};
    QL_TRY(before, scaledSquares(weights, quantized, rms, context));
    factors.before = factors.unrounded = before;
    for (const double value : svd.values)
        factors.unrounded -= value * value;
    const auto count = svd.values.size();
    factors.left.resize(svd.left.size());
    for (std::size_t i = 0; i < svd.left.size(); ++i)
        factors.left[i] = toFloat16(static_cast<float>(svd.left[i] * std::sqrt(svd.values[i % count])));
    factors.right.resize(svd.right.size());
    for (std::size_t k = 0; k < count; ++k)
        for (std::size_t j = 0; j < scales.size(); ++j) {
            const std::size_t at = k * scales.size() + j;
            factors.right[at] = toFloat16(static_cast<float>(svd.right[at] * std::sqrt(svd.values[k]) / scales[j]));
        }
    return factors;
}

Result<double> scaledSquares(const TensorView& weights, const QuantizedTensor& quantized, std::span<const double> rms,
                             const JobContext& context)
{
    const auto [rows, cols] = quantized.matrix();
    const std::vector<double> scales = columnScales(rms, cols);
    QL_TRY(sum, deterministicReduce(
                    context, rows, rowGrain(cols), CompensatedSum{},
                    [&](std::int64_t begin, std::int64_t end) {
                        CompensatedSum part;
                        forRows(weights, quantized, scales, begin, end,
                                [&](std::int64_t, const std::vector<double>& values) {
                                    for (const double value : values)
                                        part.add(value * value);
                                });
                        return part;
                    },
                    [](CompensatedSum& into, const CompensatedSum& next) { into.merge(next); }));
    return sum.value();
}

} // namespace ql
