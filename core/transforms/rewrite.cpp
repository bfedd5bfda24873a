// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/transforms/rewrite.h"

#include "core/formats/quantized_tensor.h"
#include "core/jobs/parallel.h"
#include "core/tensor/half.h"

#include <algorithm>

namespace ql {

namespace {

constexpr std::int64_t kGrain = 1 << 16; // elements
constexpr std::int64_t kColumns = 32;    // that are gathered together

void store(const double* from, std::int64_t n, Dtype dtype, std::byte* to)
{
    if (dtype == Dtype::f64)
        std::copy_n(from, n, reinterpret_cast<double*>(to));
    else
        std::transform(from, from + n, reinterpret_cast<float*>(to), [](double x) { return static_cast<float>(x); });
}

/// Each row as a reader of the changed input, or as a changed value itself.
Result<void> rewriteRows(const LayerRewrite& rewrite, const TensorView& weights, MatrixShape shape, Dtype dtype,
                         std::byte* out, const JobContext& context)
{
    const std::int64_t grain = std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, shape.cols));
    const std::int64_t bytes = info(dtype).blockBytes;
    return parallelFor(context, shape.rows, grain, [&](std::int64_t begin, std::int64_t end) {
        std::vector<double> row(static_cast<std::size_t>(shape.cols));
        std::vector<double> scratch(row.size());
        for (std::int64_t r = begin; r < end; ++r) {
            decode(weights.dtype, weights.data, r * shape.cols, shape.cols, row.data());
            for (const ChannelMapPtr& map : rewrite.reads)
                map->applyToReader(row.data(), scratch.data());
            for (const ChannelMapPtr& map : rewrite.rows)
                map->apply(row.data(), scratch.data());
            store(row.data(), shape.cols, dtype, out + r * shape.cols * bytes);
        }
    });
}

/// Each column by map(values, scratch), of w[rows, columns] in place.
template<typename Map>
Result<void> forColumns(MatrixShape shape, double* w, const Map& map, const JobContext& context)
{
    const auto rows = static_cast<std::size_t>(shape.rows);
    return parallelFor(context, shape.cols, kColumns, [&](std::int64_t begin, std::int64_t end) {
        const auto count = static_cast<std::size_t>(end - begin);
        std::vector<double> columns(rows * count);
        std::vector<double> scratch(rows);
        double* const first = w + begin;
        for (std::size_t r = 0; r < rows; ++r)
            for (std::size_t c = 0; c < count; ++c)
                columns[c * rows + r] = first[r * static_cast<std::size_t>(shape.cols) + c];
        for (std::size_t c = 0; c < count; ++c)
            map(columns.data() + c * rows, scratch.data());
        for (std::size_t r = 0; r < rows; ++r)
            for (std::size_t c = 0; c < count; ++c)
                first[r * static_cast<std::size_t>(shape.cols) + c] = columns[c * rows + r];
    });
}

/// What is left of ranges and Gram matrices when z is taken from x: the latter would need the mean of x.
void shift(ActivationStatistics& statistics, const std::vector<double>& z)
{
    statistics.gram.clear();
    statistics.lossGram.clear();
    statistics.channelRms.clear();
    statistics.histogram.clear();
    statistics.histogramMin = statistics.histogramMax = 0;
    for (std::vector<double>* ends : {&statistics.channelMin, &statistics.channelMax})
        for (std::size_t j = 0; j < ends->size(); ++j)
            (*ends)[j] -= z[j];
}

/// One of as many equal ranges of the layer's rows.
struct Part {
    std::int64_t index = 0, count = 1;
};

/// Σ g·gᵀ of the part's outputs; nothing where it does not follow.
Result<void> changeOutputs(const LayerRewrite& rewrite, Part part, std::vector<float>& outputGram,
                           const JobContext& context)
{
    if (!rewrite.values.empty() || !rewrite.rows.empty())
        outputGram.clear();
    for (const ChannelMapPtr& map : rewrite.writes) {
        if (outputGram.empty())
            break;
        const std::int64_t rows = map->size() / part.count;
        const ChannelMapPtr own = part.count == 1 ? map : map->part(part.index * rows, rows);
        if (!own || std::ssize(outputGram) != rows * rows) {
            outputGram.clear();
            break;
        }
        QL_TRY(made, own->derivativeGram(outputGram, context));
        outputGram = std::move(made);
    }
    return {};
}

Result<ActivationStatistics> rewrittenPart(const LayerRewrite& rewrite, Part part, const ActivationStatistics& input,
                                           const JobContext& context)
{
    ActivationStatistics statistics = input;
    QL_CHECK(changeOutputs(rewrite, part, statistics.outputGram, context));
    if (!rewrite.shift.empty())
        shift(statistics, rewrite.shift);
    for (const ChannelMapPtr& map : rewrite.reads) {
        QL_TRY(made, map->statistics(statistics, context));
        statistics = std::move(made);
    }
    statistics.parts.clear();
    for (const ActivationStatistics& its : input.parts) {
        const Part next{std::ssize(statistics.parts), std::ssize(input.parts)};
        QL_TRY(made, rewrittenPart(rewrite, next, its, context));
        statistics.parts.push_back(std::move(made));
    }
    return statistics;
}

} // namespace

Result<Buffer> rewritten(const LayerRewrite& rewrite, const Layer& layer, const TensorView& weights, Dtype dtype,
                         const JobContext& context)
{
    const std::int64_t n = layer.numel();
    const std::int64_t bytes = info(dtype).blockBytes;
    QL_CHECK(context.checkMemory(bytes * n, "rewritten weights"));
    Buffer out(bytes * n);
    // A bias is one value: a column.
    const MatrixShape shape = layer.shape.size() == 1 ? MatrixShape{n, 1} : matrixShape(layer.shape);
    const TensorView given{Dtype::f64, layer.shape, reinterpret_cast<const std::byte*>(rewrite.values.data())};
    const TensorView& from = rewrite.values.empty() ? weights : given;
    if (rewrite.writes.empty()) {
        QL_CHECK(rewriteRows(rewrite, from, shape, dtype, out.data(), context));
        return out;
    }
    QL_CHECK(context.checkMemory(8 * n, "weights in double precision"));
    Buffer whole(8 * n);
    QL_CHECK(rewriteRows(rewrite, from, shape, Dtype::f64, whole.data(), context));
    const auto changed = [&](double* column, double* scratch) {
        for (const ChannelMapPtr& map : rewrite.writes)
            map->apply(column, scratch);
    };
    QL_CHECK(forColumns(shape, whole.as<double>(), changed, context));
    QL_CHECK(parallelFor(context, n, kGrain, [&](std::int64_t begin, std::int64_t end) {
        store(whole.as<double>() + begin, end - begin, dtype, out.data() + begin * bytes);
    }));
    return out;
}

bool keepsOutputs(const LayerRewrite& rewrite)
{
    return rewrite.values.empty() && rewrite.rows.empty() && rewrite.writes.empty();
}

Result<ActivationStatistics> rewritten(const LayerRewrite& rewrite, const ActivationStatistics& input,
                                       const JobContext& context)
{
    return rewrittenPart(rewrite, {}, input, context);
}

bool keepsFisher(const LayerRewrite& rewrite)
{
    return rewrite.values.empty() && rewrite.shift.empty();
}

std::vector<double> rewrittenOutputSquares(const LayerRewrite& rewrite, std::vector<double> squares)
{
    if (squares.empty())
        return squares;
    std::vector<double> scratch(squares.size());
    for (const ChannelMapPtr& map : rewrite.writes)
        map->applyToWriterSquares(squares.data(), scratch.data());
    return squares;
}

Result<FisherDiagonal> rewritten(const LayerRewrite& rewrite, const FisherDiagonal& fisher, const JobContext& context)
{
    FisherDiagonal made = fisher;
    for (LayerFisher& use : made.uses) {
        const MatrixShape shape{use.rows, use.columns};
        const std::int64_t n = shape.rows * shape.cols;
        QL_CHECK(context.checkMemory(8 * n, "a Fisher diagonal in double precision"));
        std::vector<double> sums(static_cast<std::size_t>(n));
        const std::int64_t grain = std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, shape.cols));
        QL_CHECK(parallelFor(context, shape.rows, grain, [&](std::int64_t begin, std::int64_t end) {
            std::vector<double> scratch(static_cast<std::size_t>(shape.cols));
            for (std::int64_t r = begin; r < end; ++r) {
                double* const row = sums.data() + r * shape.cols;
                for (std::int64_t c = 0; c < shape.cols; ++c)
                    row[c] = static_cast<double>(floatFromBf16(use.sums[static_cast<std::size_t>(r * shape.cols + c)]));
                for (const ChannelMapPtr& map : rewrite.reads)
                    map->applyToReaderSquares(row, scratch.data());
                for (const ChannelMapPtr& map : rewrite.rows)
                    map->applyToWriterSquares(row, scratch.data());
            }
        }));
        const auto changed = [&](double* column, double* scratch) {
            for (const ChannelMapPtr& map : rewrite.writes)
                map->applyToWriterSquares(column, scratch);
        };
        if (!rewrite.writes.empty())
            QL_CHECK(forColumns(shape, sums.data(), changed, context));
        QL_CHECK(parallelFor(context, n, kGrain, [&](std::int64_t begin, std::int64_t end) {
            for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
                use.sums[i] = bf16FromFloat(static_cast<float>(sums[i]));
        }));
        use.outputSquares = rewrittenOutputSquares(rewrite, std::move(use.outputSquares));
    }
    return made;
}

} // namespace ql
