// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/gradient_tile.h"

#include "core/base/matrix_product.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/feedback_kernels.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ql {

namespace {

constexpr std::int64_t kBlock = 128; // columns of one product

/// Rows [first, last) of `from`.
void copyRows(const QuantizedTensor& from, std::int64_t first, std::int64_t last, QuantizedTensor& to)
{
    const std::int64_t rows = from.matrix().rows;
    const auto copy = [&](const auto& source, auto& target) {
        const auto each = static_cast<std::ptrdiff_t>(source.size()) / rows;
        std::copy(source.begin() + first * each, source.begin() + last * each, target.begin() + first * each);
    };
    const std::int64_t bytes = from.codes.sizeBytes() / rows;
    std::memcpy(to.codes.data() + first * bytes, from.codes.data() + first * bytes,
                static_cast<std::size_t>((last - first) * bytes));
    copy(from.scales, to.scales);
    copy(from.zeroPoints, to.zeroPoints);
    copy(from.minima, to.minima);
}

} // namespace

Result<LayerUnderH> makeLayerUnderH(const QuantizeTask& task, std::span<const double> gram, double damping,
                                    QuantizedTensor& out, const JobContext& context)
{
    const std::int64_t n = out.matrix().cols;
    constexpr std::int64_t kArrays = 12; // of floats that a tile and its learner hold
    const std::int64_t rows =
        std::min(out.matrix().rows, context.executor().threadCount() * tileRows(out.matrix().rows));
    QL_CHECK(context.checkMemory(4 * n * n + 4 * kArrays * rows * n, "XᵀX and the rows that are learned"));
    double mean = 0;
    for (std::int64_t i = 0; i < n; ++i)
        mean += gram[static_cast<std::size_t>(i * n + i)] / static_cast<double>(n);
    if (!(mean > 0) || !std::isfinite(mean))
        return badInput("XᵀX has values that are not finite, or a diagonal that is not positive; calibrate again");
    LayerUnderH layer{.task = task,
                      .coder = elementCoderOf(task.scheme).value(),
                      .h = Buffer(4 * n * n),
                      .unit = mean,
                      .damping = damping,
                      .out = out};
    QL_CHECK(parallelFor(context, n, 64, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
            for (std::int64_t j = 0; j < n; ++j)
                layer.h.as<float>()[i * n + j] =
                    static_cast<float>(gram[static_cast<std::size_t>(i * n + j)] / mean + (i == j ? damping : 0));
    }));
    return layer;
}

GradientTile::GradientTile(const LayerUnderH& layer, std::int64_t first, std::int64_t count)
    : m_layer(layer),
      m_grid(layer.out, first, count),
      m_first(first),
      m_count(count),
      m_rows(m_grid.rows()),
      m_cols(layer.out.matrix().cols),
      m_weights(static_cast<std::size_t>(m_cols * m_rows)),
      m_deltas(m_weights.size()),
      m_slopes(m_weights.size()),
      m_objectives(static_cast<std::size_t>(m_rows))
{
    WeightTile tile(layer.task.weights);
    for (std::int64_t r = 0; r < m_count; ++r) {
        const float* row = tile.read((m_first + r) * m_cols, m_cols);
        for (std::int64_t j = 0; j < m_cols; ++j) {
            if (std::isfinite(row[j]))
                m_weights[static_cast<std::size_t>(j * m_rows + r)] = row[j];
            else
                m_odd.push_back({r, j, row[j]});
        }
    }
    measure();
}

void GradientTile::measure()
{
    std::vector<float> restored(static_cast<std::size_t>(m_cols));
    for (std::int64_t r = 0; r < m_count; ++r) {
        m_layer.out.restoreRows(m_first + r, m_first + r + 1, restored.data());
        for (std::int64_t j = 0; j < m_cols; ++j) {
            const auto at = static_cast<std::size_t>(j * m_rows + r);
            m_deltas[at] = m_weights[at] - restored[static_cast<std::size_t>(j)];
        }
    }
    for (const Odd& odd : m_odd)
        m_deltas[static_cast<std::size_t>(odd.column * m_rows + odd.row)] = 0;
}

float GradientTile::curvature(std::int64_t column) const
{
    return m_layer.h.as<float>()[column * m_cols + column];
}

Result<void> GradientTile::update(const JobContext& context)
{
    std::ranges::fill(m_objectives, 0.0);
    for (std::int64_t begin = 0; begin < m_cols; begin += kBlock) {
        QL_CHECK(context.checkStop());
        const std::int64_t end = std::min(m_cols, begin + kBlock);
        multiply(MatrixProduct<float>{.rows = end - begin,
                                      .cols = m_rows,
                                      .depth = m_cols,
                                      .a = m_layer.h.as<float>() + begin * m_cols,
                                      .aStride = m_cols,
                                      .b = m_deltas.data(),
                                      .bStride = m_rows,
                                      .c = m_slopes.data() + begin * m_rows,
                                      .cStride = m_rows});
        for (std::int64_t j = begin; j < end; ++j)
            for (std::int64_t r = 0; r < m_rows; ++r) {
                const auto at = static_cast<std::size_t>(j * m_rows + r);
                m_objectives[static_cast<std::size_t>(r)] +=
                    static_cast<double>(m_deltas[at]) * static_cast<double>(m_slopes[at]);
            }
    }
    return {};
}

double GradientTile::objective() const
{
    double sum = 0;
    for (const double row : m_objectives)
        sum += row;
    return m_layer.unit * (sum - m_layer.damping * sumOfSquares(m_deltas.data(), std::ssize(m_deltas)));
}

void GradientTile::store(std::vector<std::uint8_t>& codes)
{
    for (const Odd& odd : m_odd)
        encodeRun(m_layer.coder, m_grid.affine(odd.row, odd.column), &odd.weight, 1,
                  codes.data() + odd.column * m_rows + odd.row);
    m_grid.store(codes);
}

Result<SweepResult> learnTiles(const LayerUnderH& layer, std::int64_t iterations, const QuantizedTensor* start,
                               std::int64_t firstRow, std::int64_t lastRow, const TileLearner& learn,
                               const JobContext& context)
{
    const std::int64_t grain = tileRows(lastRow - firstRow);
    std::vector<SweepResult> parts(static_cast<std::size_t>(ceilDiv(lastRow - firstRow, grain)));
    const auto ofTiles = [&](const auto& work) {
        return parallelFor(context, lastRow - firstRow, grain,
                           [&](std::int64_t begin, std::int64_t end) -> Result<void> {
                               GradientTile tile(layer, firstRow + begin, end - begin);
                               return work(tile, parts[static_cast<std::size_t>(begin / grain)]);
                           });
    };
    const auto measureRtn = [&](GradientTile& tile, SweepResult& part) -> Result<void> {
        QL_CHECK(tile.update(context));
        part.rtn = tile.objective();
        return {};
    };
    QL_CHECK(ofTiles(measureRtn));
    if (start)
        copyRows(*start, firstRow, lastRow, layer.out);
    QL_CHECK(ofTiles([&](GradientTile& tile, SweepResult& part) -> Result<void> {
        const double bytes = info(layer.task.weights.dtype).bitsPerElement() / 8 *
                             static_cast<double>(tile.count() * tile.cols()) / static_cast<double>(iterations);
        std::int64_t done = 0;
        std::int64_t told = 0;
        const auto iterationDone = [&] {
            const auto now = static_cast<std::int64_t>(bytes * static_cast<double>(++done));
            context.progress().addDone(now - std::exchange(told, now));
        };
        QL_TRY(reached, learn(tile, iterationDone, context));
        part.reached = reached;
        return {};
    }));
    SweepResult result;
    for (const SweepResult& part : parts) {
        result.reached += part.reached;
        result.rtn += part.rtn;
    }
    return result;
}

QuantizerOption startOption(std::string_view meaning, std::string_view fallback)
{
    return {.key = "start", .meaning = meaning, .fallback = fallback, .words = {"rtn", "mse", "imatrix", "gptq"}};
}

Result<std::optional<QuantizedTensor>> startOf(const QuantizeTask& task, std::string_view quantizer,
                                               const JobContext& context)
{
    const bool movesScales = quantizer != "gptq";
    if (quantizer == "rtn" || (movesScales && task.scheme.granularity == Granularity::tensor))
        return std::optional<QuantizedTensor>();
    QL_TRY(start, quantize({.weights = task.weights,
                            .scheme = task.scheme,
                            .spec = {.id = std::string(quantizer), .option = {}, .values = {}},
                            .inputs = task.inputs},
                           context));
    return std::optional<QuantizedTensor>(std::move(start));
}

void Adam::nextStep()
{
    m_meanPower *= 0.9;
    m_squarePower *= 0.999;
    m_meanFactor = static_cast<float>(1 / (1 - m_meanPower));
    m_squareFactor = static_cast<float>(1 / (1 - m_squarePower));
}

} // namespace ql
