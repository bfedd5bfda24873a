// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/transforms/scaled_error.h"

#include "core/jobs/tiles.h"
#include "core/quantizers/quantizer.h"

#include <algorithm>

namespace ql {

namespace {
constexpr std::int64_t kGrain = 1 << 16; // elements
}

Result<double> scaledError(const TensorView& weights, const Scheme& scheme, const std::vector<double>& s,
                           const ActivationStatistics& input, const JobContext& context)
{
    const MatrixShape shape = matrixShape(weights.shape);
    const std::int64_t grain = std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, shape.cols));
    const auto* const w = reinterpret_cast<const float*>(weights.data);
    std::vector<float> scaled(static_cast<std::size_t>(shape.rows * shape.cols));
    QL_CHECK(parallelFor(context, shape.rows, grain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin * shape.cols; i < end * shape.cols; ++i)
            scaled[static_cast<std::size_t>(i)] =
                static_cast<float>(static_cast<double>(w[i]) * s[static_cast<std::size_t>(i % shape.cols)]);
    }));
    const JobContext inner(context.executor(), context.stopToken()); // counts elements of its own
    const QuantizeTask task{.weights = {Dtype::f32, weights.shape, reinterpret_cast<const std::byte*>(scaled.data())},
                            .scheme = scheme,
                            .spec = {}};
    QL_TRY(quantized, quantize(task, inner));
    std::vector<double> difference(scaled.size());
    QL_CHECK(parallelFor(context, shape.rows, grain, [&](std::int64_t begin, std::int64_t end) {
        std::vector<float> restored(static_cast<std::size_t>((end - begin) * shape.cols));
        quantized.restoreRows(begin, end, restored.data());
        for (std::size_t i = 0; i < restored.size(); ++i) {
            const auto at = static_cast<std::size_t>(begin * shape.cols) + i;
            difference[at] = static_cast<double>(restored[i]) / s[i % static_cast<std::size_t>(shape.cols)] -
                             static_cast<double>(w[at]);
        }
    }));
    if (!input.gram.empty())
        return quadraticTrace(difference.data(), shape.rows, shape.cols, input.gram.data(), parallelTiles(context));
    const auto tokens = static_cast<double>(std::max<std::int64_t>(1, input.tokens));
    const auto ofRows = [&](std::int64_t begin, std::int64_t end) {
        double sum = 0;
        for (std::int64_t i = begin * shape.cols; i < end * shape.cols; ++i) {
            const double moved =
                difference[static_cast<std::size_t>(i)] * input.channelRms[static_cast<std::size_t>(i % shape.cols)];
            sum += moved * moved;
        }
        return sum * tokens;
    };
    return deterministicReduce(context, shape.rows, grain, 0.0, ofRows,
                               [](double& into, double next) { into += next; });
}

Result<SampledReaders> SampledReaders::of(const Model& model, const FoldSite& site, const JobContext& context)
{
    SampledReaders sampled;
    sampled.m_cols = site.columns();
    for (const FoldSite::Reader& layer : site.readers) {
        QL_TRY(data, model.loadWeights(layer.layer, context));
        const std::int64_t rows = data.view.shape[0];
        Reader reader;
        reader.count = std::min(rows, kRows);
        reader.weight = static_cast<double>(rows) / static_cast<double>(std::max<std::int64_t>(1, reader.count));
        reader.rows.resize(static_cast<std::size_t>(reader.count * sampled.m_cols));
        for (std::int64_t r = 0; r < reader.count; ++r)
            decode(data.view.dtype, data.view.data, r * rows / reader.count * sampled.m_cols, sampled.m_cols,
                   reader.rows.data() + r * sampled.m_cols);
        sampled.m_readers.push_back(std::move(reader));
    }
    return sampled;
}

Result<double> SampledReaders::error(const Scheme& scheme, const std::vector<double>& s,
                                     const ActivationStatistics& input, const JobContext& context) const
{
    double sum = 0;
    for (const Reader& reader : m_readers) {
        const TensorView rows{
            Dtype::f32, {reader.count, m_cols}, reinterpret_cast<const std::byte*>(reader.rows.data())};
        QL_TRY(error, scaledError(rows, scheme, s, input, context));
        sum += reader.weight * error;
    }
    return sum;
}

} // namespace ql
