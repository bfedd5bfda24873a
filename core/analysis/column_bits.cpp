// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/column_bits.h"

#include "core/base/matrix_product.h"
#include "core/base/water_filling.h"
#include "core/formats/quantized_tensor.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/error_feedback.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ql {

namespace {

constexpr std::int64_t kRows = 128;  // of a tile
constexpr std::int64_t kBlock = 128; // columns that one product brings up to date
constexpr double kLeastLoss = 1e-8;  // of the mean, in the logarithm of a column's loss

struct Rows {
    std::int64_t count, cols;
    std::vector<float> weights;    // columns follow each other
    std::vector<float> low, width; // of each row's range
};

Rows readRows(const TensorView& weights, std::int64_t first, std::int64_t count, std::int64_t cols)
{
    const auto size = static_cast<std::size_t>(count * cols);
    Rows rows{count, cols, std::vector<float>(size), {}, {}};
    WeightTile tile(weights);
    for (std::int64_t r = 0; r < count; ++r) {
        const float* row = tile.read((first + r) * cols, cols);
        float low = 0;
        float high = 0;
        for (std::int64_t j = 0; j < cols; ++j) {
            const float w = std::isfinite(row[j]) ? row[j] : 0;
            rows.weights[static_cast<std::size_t>(j * count + r)] = w;
            low = std::min(low, w);
            high = std::max(high, w);
        }
        rows.low.push_back(low);
        rows.width.push_back(high - low);
    }
    return rows;
}

/// What a value restores to.
float nearest(float value, float low, float width, int levels)
{
    if (levels == 1 || width == 0)
        return 0;
    const float step = width / static_cast<float>(levels - 1);
    const float zero = std::nearbyint(-low / step);
    return (std::clamp(std::nearbyint(value / step) + zero, 0.0F, static_cast<float>(levels - 1)) - zero) * step;
}

/// One sweep: Δ of the tile in place of the weights, losses of columns added up.
Result<void> sweepRows(Rows& rows, const ErrorFeedback& feedback, const std::vector<int>& levels,
                       std::vector<double>& losses, const JobContext& context)
{
    const std::int64_t n = rows.cols;
    const auto* factor = feedback.factor.as<float>();
    std::vector<float> values = rows.weights;
    std::vector<float>& deltas = rows.weights;
    const auto column = [&](std::vector<float>& of, std::int64_t j) { return of.data() + j * rows.count; };
    for (std::int64_t begin = 0; begin < n; begin += kBlock) {
        QL_CHECK(context.checkStop());
        const std::int64_t end = std::min(n, begin + kBlock);
        if (begin > 0)
            multiply(MatrixProduct<float>{.rows = end - begin,
                                          .cols = rows.count,
                                          .depth = begin,
                                          .a = factor + begin,
                                          .aStride = n,
                                          .aTransposed = true,
                                          .b = column(deltas, 0),
                                          .bStride = rows.count,
                                          .c = column(values, begin),
                                          .cStride = rows.count,
                                          .alpha = 1,
                                          .beta = 1});
        for (std::int64_t j = begin; j < end; ++j) {
            float* value = column(values, j);
            for (std::int64_t k = begin; k < j; ++k) {
                const float share = factor[k * n + j];
                const float* delta = column(deltas, k);
                for (std::int64_t r = 0; r < rows.count; ++r)
                    value[r] += share * delta[r];
            }
            double squares = 0;
            float* delta = column(deltas, j);
            for (std::int64_t r = 0; r < rows.count; ++r) {
                const auto at = static_cast<std::size_t>(r);
                const float restored =
                    nearest(value[r], rows.low[at], rows.width[at], levels[static_cast<std::size_t>(j)]);
                const double off = static_cast<double>(value[r]) - static_cast<double>(restored);
                squares += off * off;
                delta[r] -= restored;
            }
            losses[static_cast<std::size_t>(j)] += feedback.cost[static_cast<std::size_t>(j)] * squares / 2;
        }
    }
    return {};
}

/// Σ_r d_r·H·d_rᵀ of a tile.
Result<double> energyOf(const std::vector<float>& d, std::int64_t count, std::int64_t n, const std::vector<float>& h,
                        const JobContext& context)
{
    std::vector<float> products(static_cast<std::size_t>(std::min(n, kBlock) * count));
    double sum = 0;
    for (std::int64_t begin = 0; begin < n; begin += kBlock) {
        QL_CHECK(context.checkStop());
        const std::int64_t end = std::min(n, begin + kBlock);
        multiply(MatrixProduct<float>{.rows = end - begin,
                                      .cols = count,
                                      .depth = n,
                                      .a = h.data() + begin * n,
                                      .aStride = n,
                                      .b = d.data(),
                                      .bStride = count,
                                      .c = products.data(),
                                      .cStride = count});
        for (std::int64_t i = 0; i < (end - begin) * count; ++i)
            sum += static_cast<double>(d[static_cast<std::size_t>(begin * count + i)]) *
                   static_cast<double>(products[static_cast<std::size_t>(i)]);
    }
    return sum;
}

Result<ColumnPass> pass(const TensorView& weights, const MatrixShape& matrix, const ErrorFeedback& feedback,
                        const std::vector<float>& h, const std::vector<int>& levels, const JobContext& context)
{
    struct Part {
        std::vector<double> losses;
        double error = 0, energy = 0;
    };
    std::vector<Part> parts(static_cast<std::size_t>(ceilDiv(matrix.rows, kRows)));
    const auto sweepTile = [&](std::int64_t begin, std::int64_t end) -> Result<void> {
        Part& part = parts[static_cast<std::size_t>(begin / kRows)];
        part.losses.resize(static_cast<std::size_t>(matrix.cols));
        Rows rows = readRows(weights, begin, end - begin, matrix.cols);
        QL_TRY(energy, energyOf(rows.weights, rows.count, matrix.cols, h, context));
        part.energy = energy;
        QL_CHECK(sweepRows(rows, feedback, levels, part.losses, context));
        QL_TRY(error, energyOf(rows.weights, rows.count, matrix.cols, h, context));
        part.error = error;
        return {};
    };
    QL_CHECK(parallelFor(context, matrix.rows, kRows, sweepTile));
    ColumnPass all;
    all.losses.resize(static_cast<std::size_t>(matrix.cols));
    double error = 0;
    double energy = 0;
    for (const Part& part : parts) {
        for (std::size_t j = 0; j < all.losses.size(); ++j)
            all.losses[j] += part.losses[j];
        error += part.error;
        energy += part.energy;
    }
    all.loss = std::accumulate(all.losses.begin(), all.losses.end(), 0.0);
    all.outputError = energy > 0 ? error / energy : 0;
    const double mean = all.loss / static_cast<double>(matrix.cols);
    double squares = 0;
    for (const double loss : all.losses)
        squares += (loss - mean) * (loss - mean);
    all.variation = mean > 0 ? std::sqrt(squares / static_cast<double>(matrix.cols)) / mean : 0;
    return all;
}

/// What both sweeps go by.
struct Ground {
    MatrixShape matrix;
    ErrorFeedback feedback;
    std::vector<float> h;
};

Result<Ground> groundOf(const TensorView& weights, const ActivationStatistics& inputs,
                        const ColumnBitsSettings& settings, const JobContext& context)
{
    const MatrixShape matrix = matrixShape(weights.shape);
    if (inputs.gram.empty())
        return usageError("columns get bits by XᵀX of the layer's inputs; calibrate with --gram full");
    if (matrix.rows == 0 || matrix.cols != inputs.in)
        return badInput("the statistics are of " + std::to_string(inputs.in) + " inputs, but the layer has " +
                        std::to_string(matrix.cols) + " and " + std::to_string(matrix.rows) + " rows");
    if (!isDecodable(weights.dtype))
        return badInput("weights of type " + std::string(info(weights.dtype).word) + " cannot be decoded");
    if (settings.bits < 1 || settings.bits > 8 || !(settings.exponent > 0) || !(settings.damping >= 0))
        return usageError("columns get 1 to 8 bits, with an exponent above 0 and a damping of 0 or more");
    const auto n = static_cast<std::size_t>(matrix.cols);
    QL_CHECK(context.checkMemory(8 * matrix.cols * matrix.cols, "XᵀX"));
    std::vector<std::int64_t> order(n);
    std::iota(order.begin(), order.end(), std::int64_t{0});
    QL_TRY(feedback, makeErrorFeedback(inputs.gram.data(), std::move(order), settings.damping, context));
    std::vector<float> h(inputs.gram.size());
    for (std::size_t i = 0; i < h.size(); ++i) {
        if (i % n == 0)
            QL_CHECK(context.checkStop());
        h[i] = static_cast<float>(inputs.gram[i]);
    }
    return Ground{.matrix = matrix, .feedback = std::move(feedback), .h = std::move(h)};
}

Result<ColumnPass> passOf(const TensorView& weights, const Ground& ground, const std::vector<int>& levels,
                          const JobContext& context)
{
    return pass(weights, ground.matrix, ground.feedback, ground.h, levels, context);
}

} // namespace

Result<ColumnPass> uniformColumnPass(const TensorView& weights, const ActivationStatistics& inputs,
                                     const ColumnBitsSettings& settings, const JobContext& context)
{
    QL_TRY(ground, groundOf(weights, inputs, settings, context));
    const std::vector<int> levels(static_cast<std::size_t>(ground.matrix.cols), 1 << settings.bits);
    return passOf(weights, ground, levels, context);
}

Result<ColumnBits> columnBits(const TensorView& weights, const ActivationStatistics& inputs,
                              const ColumnBitsSettings& settings, const JobContext& context)
{
    QL_TRY(ground, groundOf(weights, inputs, settings, context));
    const auto n = static_cast<std::size_t>(ground.matrix.cols);
    ColumnBits result;
    const int levels = 1 << settings.bits;
    QL_TRY(uniform, passOf(weights, ground, std::vector<int>(n, levels), context));
    result.uniform = std::move(uniform);
    const double least = kLeastLoss * result.uniform.loss / static_cast<double>(n);
    std::vector<double> losses = result.uniform.losses;
    double logs = 0;
    for (double& loss : losses) {
        loss = std::max(loss, least);
        logs += std::log(loss) / static_cast<double>(n);
    }
    result.geometricOverArithmetic = geometricOverArithmetic(losses);
    constexpr double kMostLevels = 65535; // of 16 bits
    for (const double loss : losses) {
        const double wanted =
            result.uniform.loss > 0 ? levels * std::pow(loss / std::exp(logs), 1 / settings.exponent) : levels;
        result.levels.push_back(static_cast<int>(std::clamp(std::nearbyint(wanted), 1.0, kMostLevels)));
        result.meanBits += std::log2(result.levels.back()) / static_cast<double>(n);
        result.meanStoredBits += std::ceil(std::log2(result.levels.back())) / static_cast<double>(n);
    }
    result.sideBitsPerWeight = 16.0 / static_cast<double>(ground.matrix.rows);
    QL_TRY(allocated, passOf(weights, ground, result.levels, context));
    result.allocated = std::move(allocated);
    return result;
}

} // namespace ql
