// SPDX-License-Identifier: GPL-3.0-or-later
// Order of channels. Those inside an MLP, and inside each head the values of attention, are sorted by the norm of the
// weights that read them (as published), or by the rms of what they carry, largest first, so that groups of weights
// along the input, and blocks that a runtime rounds activations in, hold numbers of a kind. The published method sorts
// keys and queries for a cache in blocks; rotary positions pair their channels, which a file cannot say, so they stay.
// The residual stream gets one order for the whole model, by the mean over all sites s that read it, of whose inputs
// something is known:
//   score_c = mean over s of rms_s,c / √(mean over c' of rms_s,c'²)
// A norm's gain takes the order as it is, so nothing is folded and an output head that uses the embedding still does.
#include "core/base/text.h"
#include "core/jobs/parallel.h"
#include "core/transforms/channel_order.h"
#include "core/transforms/residual_stream.h"
#include "core/transforms/scale_folding.h"
#include "core/transforms/transform.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

constexpr TransformOption kKeys[] = {
    {"inner",
     "channels inside MLPs and heads' values by weights (Σ W_j²), inputs (rms of X_j, of the activations) or "
     "none; default weights",
     false, "inputs"},
    {"stream",
     "channels of the residual stream, in one order for the whole model, by inputs (mean of rms of X_j over "
     "all that read it, of the activations) or none; default none",
     true, "inputs"}};

enum class By { none, weights, inputs };

struct Options {
    By inner = By::weights;
    By stream = By::none;
};

Result<By> orderOf(const TransformSpec& spec, std::string_view key, By fallback, bool takesWeights)
{
    const auto found = spec.values.find(std::string(key));
    if (found == spec.values.end())
        return fallback;
    if (found->second == "none")
        return By::none;
    if (found->second == "inputs")
        return By::inputs;
    if (found->second == "weights" && takesWeights)
        return By::weights;
    return usageError(spec.id + ":" + std::string(key) + "=" + printable(found->second) + " is none of " +
                      (takesWeights ? "weights, inputs, none" : "inputs, none"));
}

Result<Options> optionsOf(const TransformSpec& spec)
{
    QL_TRY(inner, orderOf(spec, "inner", By::weights, true));
    QL_TRY(stream, orderOf(spec, "stream", By::none, false));
    if (inner == By::none && stream == By::none)
        return usageError(spec.id + ":inner=none sorts nothing; add stream=inputs");
    return Options{inner, stream};
}

Result<void> accepts(const TransformSpec& spec)
{
    QL_CHECK(optionsOf(spec));
    return {};
}

TransformNeeds needsWith(const TransformSpec& spec)
{
    const auto options = optionsOf(spec);
    return options && (options->inner == By::inputs || options->stream == By::inputs) ? TransformNeeds::gram
                                                                                      : TransformNeeds::nothing;
}

/// Σ W_j² over all rows of all readers, per channel.
Result<std::vector<double>> weightSquares(const Model& model, const FoldSite& site, const JobContext& context)
{
    std::vector<double> channels(static_cast<std::size_t>(site.channels), 0);
    const std::int64_t cols = site.columns();
    for (const FoldSite::Reader& reader : site.readers) {
        QL_TRY(data, model.loadWeights(reader.layer, context));
        std::vector<double> row(static_cast<std::size_t>(cols));
        for (std::int64_t r = 0; r < data.view.numel() / cols; ++r) {
            if (r % 256 == 0)
                QL_CHECK(context.checkStop());
            decode(data.view.dtype, data.view.data, r * cols, cols, row.data());
            for (std::size_t c = 0; c < row.size(); ++c)
                channels[static_cast<std::size_t>(site.channelOf(static_cast<std::int64_t>(c)))] += row[c] * row[c];
        }
    }
    return channels;
}

/// Of each column of X, up to a factor that all share.
std::vector<double> meanSquares(const ActivationStatistics& x)
{
    std::vector<double> squares(static_cast<std::size_t>(x.in));
    for (std::size_t c = 0; c < squares.size(); ++c)
        squares[c] = x.gram.empty() ? x.channelRms[c] * x.channelRms[c] : x.gram[c * squares.size() + c];
    return squares;
}

/// Σ X_j² over all query heads that read the channel.
Result<std::vector<double>> inputSquares(const TransformTask& task, const FoldSite& site, const JobContext& context)
{
    QL_TRY(input, inputOf(task.model, site, task.activations, context));
    const std::vector<double> columns = meanSquares(*input);
    std::vector<double> channels(static_cast<std::size_t>(site.channels), 0);
    for (std::size_t c = 0; c < columns.size(); ++c)
        channels[static_cast<std::size_t>(site.channelOf(static_cast<std::int64_t>(c)))] += columns[c];
    return channels;
}

Result<void> sortInner(Rewrite& rewrite, const TransformTask& task, By by, const JobContext& context)
{
    FoldSites found = findFoldSites(task.model, task.graph);
    rewrite.notes = abridged(std::move(found.others));
    for (const FoldSite& site : found.sites) {
        if (site.kind == FoldSite::Kind::norm)
            continue;
        QL_TRY(squares,
               by == By::inputs ? inputSquares(task, site, context) : weightSquares(task.model, site, context));
        const std::int64_t size =
            site.kind == FoldSite::Kind::value ? site.channels / site.keyValueHeads : site.channels;
        foldOrder(rewrite, task.model, site, sortedInParts(squares, size));
    }
    return {};
}

/// Of the first of the layers behind the norm whose input is known; empty if there is none.
Result<std::vector<double>> relativeRms(const TransformTask& task, const ResidualStream& stream,
                                        const ResidualStream::Norm& norm, const JobContext& context)
{
    std::vector<std::int64_t> readers = norm.readers;
    if (norm.feedsTiedHead)
        readers.push_back(stream.tiedHead);
    for (const std::int64_t reader : readers) {
        if (!task.activations)
            break;
        QL_TRY(input, task.activations->statistics(reader, context));
        if (!input || input->in != stream.width || input->isEmpty())
            continue;
        std::vector<double> rms = meanSquares(*input);
        double sum = 0;
        for (const double square : rms)
            sum += square;
        if (!(sum > 0))
            continue;
        const double mean = sum / static_cast<double>(rms.size());
        for (double& value : rms)
            value = std::sqrt(value / mean);
        return rms;
    }
    return std::vector<double>();
}

Result<std::vector<std::int64_t>> streamOrder(const TransformTask& task, const ResidualStream& stream,
                                              const JobContext& context)
{
    std::vector<double> scores(static_cast<std::size_t>(stream.width), 0); // times the number of sites
    bool isKnown = false;
    for (const ResidualStream::Norm& norm : stream.norms) {
        QL_TRY(rms, relativeRms(task, stream, norm, context));
        isKnown = isKnown || !rms.empty();
        for (std::size_t c = 0; c < rms.size(); ++c)
            scores[c] += rms[c];
    }
    if (!isKnown)
        return refused("of no layer that reads the residual stream the input is known; give --activations: a study "
                       "made by qloupe calibrate, or captured X of such a layer",
                       task.model.checkpoint->path().string());
    return sortedInParts(scores, stream.width);
}

Result<void> sortStream(Rewrite& rewrite, const TransformTask& task, const JobContext& context)
{
    QL_TRY(stream, findResidualStream(task.model, task.graph, StreamChange::order));
    QL_TRY(order, streamOrder(task, stream, context));
    const ChannelMapPtr map = permutationMap(order);
    for (const std::int64_t table : stream.tables) {
        // Rows of a table that is the output head, too, read the stream as well: for an order that is the same.
        LayerRewrite& made = rewrite.layers[table];
        (table == stream.tiedHead ? made.reads : made.rows) = {map};
    }
    for (const ResidualStream::Writer& writer : stream.writers) {
        std::vector<std::int64_t> rows; // of a stack of experts each part
        const std::int64_t count = task.model.layers[static_cast<std::size_t>(writer.layer)].shape[0];
        for (std::int64_t first = 0; first < count; first += stream.width)
            for (const std::int64_t channel : order)
                rows.push_back(first + channel);
        const ChannelMapPtr ofRows = permutationMap(std::move(rows));
        rewrite.layers[writer.layer].writes.push_back(ofRows);
        if (writer.bias >= 0)
            rewrite.layers[writer.bias].writes.push_back(ofRows);
    }
    for (const ResidualStream::Norm& norm : stream.norms) {
        for (const std::int64_t vector : {norm.weights, norm.bias})
            if (vector >= 0)
                rewrite.layers[vector].writes.push_back(map);
        for (const std::int64_t reader : norm.readers)
            if (auto& reads = rewrite.layers[reader].reads; std::ranges::find(reads, map) == reads.end())
                reads.push_back(map); // one that several norms feed has one order, too
    }
    return {};
}

Result<Rewrite> rewrite(const TransformTask& task, const JobContext& context)
{
    QL_TRY(options, optionsOf(task.spec));
    Rewrite rewrite;
    if (options.inner != By::none)
        QL_CHECK(sortInner(rewrite, task, options.inner, context));
    if (options.stream != By::none)
        QL_CHECK(sortStream(rewrite, task, context));
    if (rewrite.layers.empty())
        return refused("has no place whose channels can change their order", task.model.checkpoint->path().string());
    return rewrite;
}

} // namespace

namespace transforms {
extern const Transform permute;
const Transform permute{.id = "permute",
                        .title = "Sorted channels",
                        .formula = "channels of MLPs and of heads' values in the order of Σ W_j², largest first; "
                                   "inner=inputs: of rms(X_j); stream=inputs: those of the residual stream, too",
                        .source = "Trukhanov and Soloveychik 2024 (K-sort), section 3",
                        .isLocal = true,
                        .needsWith = needsWith,
                        .keys = kKeys,
                        .words = {},
                        .accepts = accepts,
                        .rewrite = rewrite};
} // namespace transforms

} // namespace ql
