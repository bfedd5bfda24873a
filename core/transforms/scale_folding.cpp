// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/transforms/scale_folding.h"

#include "core/formats/quantized_tensor.h"
#include "core/jobs/parallel.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

constexpr std::int64_t kGrain = 1 << 16; // elements

const Layer& layerAt(const Model& model, std::int64_t index)
{
    return model.layers[static_cast<std::size_t>(index)];
}

/// The numbers of the site's channels in a vector as long as the producer has rows, others as they are.
template<typename T>
std::vector<T> spread(std::int64_t rows, std::int64_t first, const std::vector<T>& own, std::vector<T> others)
{
    others.resize(static_cast<std::size_t>(rows));
    std::ranges::copy(own, others.begin() + first);
    return others;
}

void addWrites(Rewrite& rewrite, const FoldSite::Rows& rows, const ChannelMapPtr& map)
{
    rewrite.layers[rows.layer].writes.push_back(map);
    if (rows.bias >= 0)
        rewrite.layers[rows.bias].writes.push_back(map);
}

Result<void> foldIntoNorm(Rewrite& rewrite, const Model& model, const FoldSite& site, const std::vector<double>& s,
                          const std::vector<double>& z, const JobContext& context)
{
    QL_TRY(weights, valuesOf(model, site.norm, context));
    for (std::size_t j = 0; j < s.size(); ++j)
        weights[j] = (weights[j] + site.normOffset) / s[j] - site.normOffset;
    rewrite.layers[site.norm].values = std::move(weights);
    if (site.normBias < 0)
        return {};
    QL_TRY(bias, valuesOf(model, site.normBias, context));
    for (std::size_t j = 0; j < s.size(); ++j)
        bias[j] = (bias[j] - (z.empty() ? 0 : z[j])) / s[j];
    rewrite.layers[site.normBias].values = std::move(bias);
    return {};
}

/// b + W·z, in double.
Result<std::vector<double>> shiftedBias(const Model& model, const FoldSite::Reader& reader,
                                        const std::vector<double>& z, const JobContext& context)
{
    QL_TRY(bias, valuesOf(model, reader.bias, context));
    QL_TRY(data, model.loadWeights(reader.layer, context));
    const auto cols = std::ssize(z);
    QL_CHECK(parallelFor(context, std::ssize(bias), std::max<std::int64_t>(1, kGrain / cols),
                         [&](std::int64_t begin, std::int64_t end) {
                             std::vector<double> row(z.size());
                             for (std::int64_t r = begin; r < end; ++r) {
                                 decode(data.view.dtype, data.view.data, r * cols, cols, row.data());
                                 for (std::size_t j = 0; j < z.size(); ++j)
                                     bias[static_cast<std::size_t>(r)] += row[j] * z[j];
                             }
                         }));
    return bias;
}

} // namespace

Result<std::vector<double>> valuesOf(const Model& model, std::int64_t layer, const JobContext& context)
{
    QL_TRY(data, model.loadWeights(layer, context));
    std::vector<double> values(static_cast<std::size_t>(data.view.numel()));
    decode(data.view.dtype, data.view.data, 0, data.view.numel(), values.data());
    return values;
}

std::vector<double> columnsOf(const FoldSite& site, const std::vector<double>& channels)
{
    std::vector<double> columns(static_cast<std::size_t>(site.columns()));
    for (std::size_t c = 0; c < columns.size(); ++c)
        columns[c] = channels[static_cast<std::size_t>(site.channelOf(static_cast<std::int64_t>(c)))];
    return columns;
}

std::vector<double> channelsOf(const FoldSite& site, std::span<const double> columns)
{
    std::vector<double> channels(static_cast<std::size_t>(site.channels), 0);
    for (std::size_t c = 0; c < columns.size(); ++c) {
        double& channel = channels[static_cast<std::size_t>(site.channelOf(static_cast<std::int64_t>(c)))];
        channel = std::max(channel, columns[c]);
    }
    return channels;
}

Result<void> foldScale(Rewrite& rewrite, const Model& model, const FoldSite& site, std::vector<double> s,
                       const std::vector<double>& z, const JobContext& context)
{
    for (const FoldSite::Reader& reader : site.readers) {
        LayerRewrite& readers = rewrite.layers[reader.layer];
        readers.reads.push_back(scaleMap(columnsOf(site, s)));
        if (z.empty())
            continue;
        readers.shift = z;
        QL_TRY(bias, shiftedBias(model, reader, z, context));
        rewrite.layers[reader.bias].values = std::move(bias);
    }
    if (site.kind == FoldSite::Kind::norm)
        return foldIntoNorm(rewrite, model, site, s, z, context);
    const std::int64_t rows = layerAt(model, site.producer.layer).shape[0];
    const std::vector<double> ones(static_cast<std::size_t>(rows), 1);
    addWrites(rewrite, site.producer, scaleMap(spread(rows, site.producer.first, s, ones)));
    return {};
}

void foldOrder(Rewrite& rewrite, const Model& model, const FoldSite& site, const std::vector<std::int64_t>& order)
{
    const auto add = [&](const FoldSite::Rows& rows) {
        const std::int64_t count = layerAt(model, rows.layer).shape[0];
        std::vector<std::int64_t> own = order;
        std::vector<std::int64_t> all(static_cast<std::size_t>(count));
        for (std::size_t r = 0; r < all.size(); ++r)
            all[r] = static_cast<std::int64_t>(r);
        for (std::int64_t& channel : own)
            channel += rows.first;
        addWrites(rewrite, rows, permutationMap(spread(count, rows.first, own, std::move(all))));
    };
    add(site.producer);
    if (site.gate)
        add(*site.gate);
    // Each query head takes the order of its key-value head.
    std::vector<std::int64_t> columns(static_cast<std::size_t>(site.columns()));
    for (std::size_t c = 0; c < columns.size(); ++c) {
        const auto column = static_cast<std::int64_t>(c);
        const std::int64_t channel = site.channelOf(column);
        columns[c] = column + order[static_cast<std::size_t>(channel)] - channel;
    }
    for (const FoldSite::Reader& reader : site.readers)
        rewrite.layers[reader.layer].reads.push_back(permutationMap(columns));
}

Result<std::vector<double>> largestWeights(const Model& model, const FoldSite& site, const JobContext& context)
{
    std::vector<double> largest(static_cast<std::size_t>(site.columns()), 0);
    const auto merge = [](std::vector<double>& into, const std::vector<double>& next) {
        for (std::size_t c = 0; c < into.size(); ++c)
            into[c] = std::max(into[c], next[c]);
    };
    for (const FoldSite::Reader& reader : site.readers) {
        QL_TRY(data, model.loadWeights(reader.layer, context));
        const MatrixShape shape = matrixShape(layerAt(model, reader.layer).shape);
        const auto ofRows = [&](std::int64_t begin, std::int64_t end) {
            std::vector<double> part(largest.size(), 0);
            std::vector<double> row(largest.size());
            for (std::int64_t r = begin; r < end; ++r) {
                decode(data.view.dtype, data.view.data, r * shape.cols, shape.cols, row.data());
                for (std::size_t c = 0; c < row.size(); ++c)
                    part[c] = std::max(part[c], std::fabs(row[c]));
            }
            return part;
        };
        QL_TRY(all, deterministicReduce(context, shape.rows, std::max<std::int64_t>(1, 16 * kGrain / shape.cols),
                                        largest, ofRows, merge));
        largest = std::move(all);
    }
    return channelsOf(site, largest);
}

Result<std::shared_ptr<const ActivationStatistics>> inputOf(const Model& model, const FoldSite& site,
                                                            const Activations* activations, const JobContext& context)
{
    for (const FoldSite::Reader& reader : site.readers) {
        if (!activations)
            break;
        QL_TRY(statistics, activations->statistics(reader.layer, context));
        if (statistics && statistics->in == site.columns() && !statistics->isEmpty())
            return statistics;
    }
    return refused(
        "its input has to be known for this transform; give --activations: a study made by qloupe calibrate, "
        "or captured X of this layer",
        layerAt(model, site.readers.front().layer).name);
}

Result<std::vector<double>> largestInputs(const Model& model, const FoldSite& site, const Activations* activations,
                                          const JobContext& context)
{
    QL_TRY(input, inputOf(model, site, activations, context));
    if (input->channelMax.empty())
        return refused("of its input only squares are known, and this transform needs ranges; give --activations of a "
                       "calibrated study or of captured X",
                       layerAt(model, site.readers.front().layer).name);
    std::vector<double> largest(input->channelMax.size());
    for (std::size_t c = 0; c < largest.size(); ++c)
        largest[c] = std::max(std::fabs(input->channelMin[c]), std::fabs(input->channelMax[c]));
    return channelsOf(site, largest);
}

} // namespace ql
