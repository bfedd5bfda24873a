// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/reduce.h"

#include "core/jobs/tiles.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>

namespace ql {

namespace {

constexpr std::int64_t kBlockRows = 1024;
constexpr std::int64_t kGrainElements = std::int64_t{1} << 17;

Error nonFinite(std::int64_t row, std::int64_t channel)
{
    return badInput("holds a NaN or an infinity at row " + std::to_string(row) + ", channel " +
                        std::to_string(channel) +
                        "; capture the activations again, in float32 if they overflow float16",
                    {});
}

Result<std::vector<double>> zeros(std::int64_t n, const JobContext& context)
{
    QL_CHECK(context.checkMemory(n * 8, "XᵀX"));
    try {
        return std::vector<double>(static_cast<std::size_t>(n), 0.0);
    } catch (const std::bad_alloc&) {
        return Error{Errc::outOfMemory, "XᵀX does not fit the memory; close other programs", {}};
    }
}

struct Ranges {
    std::vector<double> low, high; // per channel
    std::int64_t badRow = -1, badChannel = -1;
};

Result<Ranges> rangesOf(const TensorView& x, std::int64_t rows, std::int64_t in, const JobContext& context)
{
    const double infinity = std::numeric_limits<double>::infinity();
    const auto width = static_cast<std::size_t>(in);
    const Ranges none{std::vector<double>(width, infinity), std::vector<double>(width, -infinity), -1, -1};
    // Few parts: each keeps two numbers per channel.
    const std::int64_t grain = std::max<std::int64_t>(ceilDiv(kGrainElements, in), ceilDiv(rows, 64));
    return deterministicReduce(
        context, rows, grain, none,
        [&](std::int64_t begin, std::int64_t end) {
            Ranges part = none;
            std::vector<double> row(width);
            for (std::int64_t r = begin; r < end && part.badRow < 0 && !context.stopRequested(); ++r) {
                decode(x.dtype, x.data, r * in, in, row.data());
                for (std::size_t c = 0; c < width; ++c) {
                    if (!std::isfinite(row[c]) && part.badRow < 0) {
                        part.badRow = r;
                        part.badChannel = static_cast<std::int64_t>(c);
                    }
                    part.low[c] = std::min(part.low[c], row[c]);
                    part.high[c] = std::max(part.high[c], row[c]);
                }
            }
            return part;
        },
        [&](Ranges& into, const Ranges& next) {
            if (into.badRow < 0) {
                into.badRow = next.badRow;
                into.badChannel = next.badChannel;
            }
            for (std::size_t c = 0; c < width; ++c) {
                into.low[c] = std::min(into.low[c], next.low[c]);
                into.high[c] = std::max(into.high[c], next.high[c]);
            }
        });
}

/// Adds the counts of values already in float.
Result<void> count(const float* values, std::int64_t n, ActivationStatistics& into, const JobContext& context)
{
    using Counts = std::vector<std::int64_t>;
    const double low = into.histogramMin;
    const double width = into.histogramMax - low;
    const double perBin = width > 0 ? static_cast<double>(kActivationBins) / width : 0;
    QL_TRY(counts, deterministicReduce(
                       context, n, kGrainElements, Counts(static_cast<std::size_t>(kActivationBins), 0),
                       [&](std::int64_t begin, std::int64_t end) {
                           Counts part(static_cast<std::size_t>(kActivationBins), 0);
                           for (std::int64_t i = begin; i < end; ++i) {
                               const double bin = (static_cast<double>(values[i]) - low) * perBin;
                               const double last = static_cast<double>(kActivationBins - 1);
                               ++part[static_cast<std::size_t>(std::clamp(std::floor(bin), 0.0, last))];
                           }
                           return part;
                       },
                       [](Counts& total, const Counts& next) {
                           for (std::size_t i = 0; i < total.size(); ++i)
                               total[i] += next[i];
                       }));
    for (std::size_t i = 0; i < counts.size(); ++i)
        into.histogram[i] += counts[i];
    return {};
}

void setRms(ActivationStatistics& statistics)
{
    const auto in = static_cast<std::size_t>(statistics.in);
    const auto tokens = static_cast<double>(std::max<std::int64_t>(1, statistics.tokens));
    statistics.channelRms.resize(in);
    for (std::size_t c = 0; c < in; ++c)
        statistics.channelRms[c] = std::sqrt(statistics.gram[c * in + c] / tokens);
}

} // namespace

std::int64_t inputsOf(const Layer& layer)
{
    return layer.shape.size() < 2 || layer.shape[0] == 0 ? 0 : layer.numel() / layer.shape[0];
}

Result<std::vector<double>> meansOfInputs(const TensorView& x, std::int64_t in, const JobContext& context)
{
    const std::int64_t rows = x.numel() / in;
    const auto width = static_cast<std::size_t>(in);
    const std::int64_t grain = std::max<std::int64_t>(ceilDiv(kGrainElements, in), ceilDiv(rows, 64));
    QL_TRY(sums, deterministicReduce(
                     context, rows, grain, std::vector<double>(width),
                     [&](std::int64_t begin, std::int64_t end) {
                         std::vector<double> part(width);
                         std::vector<double> row(width);
                         for (std::int64_t r = begin; r < end && !context.stopRequested(); ++r) {
                             decode(x.dtype, x.data, r * in, in, row.data());
                             for (std::size_t c = 0; c < width; ++c)
                                 part[c] += row[c];
                         }
                         return part;
                     },
                     [](std::vector<double>& into, const std::vector<double>& next) {
                         for (std::size_t c = 0; c < into.size(); ++c)
                             into[c] += next[c];
                     }));
    for (double& sum : sums)
        sum /= static_cast<double>(std::max<std::int64_t>(rows, 1));
    return sums;
}

Result<ActivationStatistics> reduceInputs(const TensorView& x, std::int64_t in, const JobContext& context)
{
    const std::int64_t rows = x.numel() / in;
    ActivationStatistics statistics;
    statistics.in = in;
    statistics.tokens = rows;
    QL_TRY(ranges, rangesOf(x, rows, in, context));
    if (ranges.badRow >= 0)
        return nonFinite(ranges.badRow, ranges.badChannel);
    statistics.channelMin = std::move(ranges.low);
    statistics.channelMax = std::move(ranges.high);
    statistics.histogramMin = *std::ranges::min_element(statistics.channelMin);
    statistics.histogramMax = *std::ranges::max_element(statistics.channelMax);
    statistics.histogram.assign(static_cast<std::size_t>(kActivationBins), 0);
    QL_TRY(gram, zeros(in * in, context));
    statistics.gram = std::move(gram);

    Buffer block(std::min(rows, kBlockRows) * in * static_cast<std::int64_t>(sizeof(float)));
    const TileRunner run = parallelTiles(context);
    for (std::int64_t first = 0; first < rows; first += kBlockRows) {
        const std::int64_t count_ = std::min(kBlockRows, rows - first);
        QL_CHECK(parallelFor(
            context, count_, std::max<std::int64_t>(1, kGrainElements / in), [&](std::int64_t begin, std::int64_t end) {
                decode(x.dtype, x.data, (first + begin) * in, (end - begin) * in, block.as<float>() + begin * in);
            }));
        QL_CHECK(count(block.as<float>(), count_ * in, statistics, context));
        QL_CHECK(accumulateGram(block.as<float>(), count_, in, statistics.gram.data(), run));
    }
    // A float64 entry may be finite and still pass the range of the products.
    for (const double value : statistics.gram)
        if (!std::isfinite(value))
            return badInput("has values whose squares overflow; capture the activations again", {});
    setRms(statistics);
    return statistics;
}

Result<std::optional<ActivationStatistics>> asGram(const TensorView& view, const JobContext& context)
{
    using Found = std::optional<ActivationStatistics>;
    if (view.shape.size() != 2 || view.shape[0] != view.shape[1])
        return Found();
    const std::int64_t n = view.shape[0];
    ActivationStatistics statistics;
    statistics.in = n;
    QL_TRY(gram, zeros(n * n, context));
    statistics.gram = std::move(gram);
    double* g = statistics.gram.data();
    const std::int64_t grain = std::max<std::int64_t>(1, kGrainElements / n);
    QL_CHECK(parallelFor(context, n, grain, [&](std::int64_t begin, std::int64_t end) -> Result<void> {
        decode(view.dtype, view.data, begin * n, (end - begin) * n, g + begin * n);
        for (std::int64_t i = begin * n; i < end * n; ++i)
            if (!std::isfinite(g[i]))
                return nonFinite(i / n, i % n);
        return {};
    }));
    for (std::int64_t i = 0; i < n; ++i)
        if (g[i * n + i] < 0)
            return Found();
    // Rounding of the products' sums, in whatever precision they were stored, is relative to the diagonal.
    constexpr double kTolerance = 1e-3;
    std::vector<char> asymmetric(static_cast<std::size_t>(ceilDiv(n, 64)), 0);
    QL_CHECK(parallelFor(context, n, 64, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
            for (std::int64_t j = 0; j < i; ++j) {
                const double room = kTolerance * std::sqrt(g[i * n + i] * g[j * n + j]);
                if (!(std::fabs(g[i * n + j] - g[j * n + i]) <= room))
                    asymmetric[static_cast<std::size_t>(begin / 64)] = 1;
            }
    }));
    if (std::ranges::find(asymmetric, 1) != asymmetric.end())
        return Found();
    QL_CHECK(parallelFor(context, n, 64, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
            for (std::int64_t j = 0; j < i; ++j)
                g[i * n + j] = g[j * n + i] = 0.5 * (g[i * n + j] + g[j * n + i]);
    }));
    setRms(statistics);
    return Found(std::move(statistics));
}

} // namespace ql
