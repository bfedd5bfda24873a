// SPDX-License-Identifier: GPL-3.0-or-later
// Rotation of the residual stream: x·R with R = D·H/√B, D random signs, H a Hadamard matrix, over all channels or over
// blocks of B. Outliers of single channels are spread over all. Weights of RMS norms go into the layers behind them
// first, as they do not commute with a rotation; an output head that uses the embedding becomes a tensor of its own.
// With `heads`, each head's values are rotated, too (v_proj and o_proj).
#include "core/base/rng.h"
#include "core/base/text.h"
#include "core/transforms/hadamard_matrix.h"
#include "core/transforms/residual_stream.h"
#include "core/transforms/scale_folding.h"
#include "core/transforms/site_choice.h"
#include "core/transforms/transform.h"

#include <algorithm>

namespace ql {

namespace {

constexpr double kMost = 1 << 30;
constexpr TransformOption kKeys[] = {{"block", "channels that are rotated together; default all"},
                                     {"seed", "of the random signs; default 0"}};
constexpr TransformOption kWords[] = {{"heads", ""}};

struct Options {
    std::int64_t block = 0; // 0: all
    std::uint64_t seed = 0;
    bool heads = false;
};

Result<Options> optionsOf(const TransformSpec& spec)
{
    QL_TRY(block, numberOf(spec, "block", 0, 1, kMost));
    QL_TRY(seed, numberOf(spec, "seed", 0, 0, kMost));
    if (block > 0 && (block != std::floor(block) || !HadamardMatrix::has(static_cast<std::int64_t>(block))))
        return usageError("hadamard:block=" + formatDouble(block) +
                          " is no order of a known Hadamard matrix: 2^k times powers of 12, 20 and 28");
    return Options{static_cast<std::int64_t>(block), static_cast<std::uint64_t>(seed), spec.option == "heads"};
}

Result<void> accepts(const TransformSpec& spec)
{
    QL_CHECK(optionsOf(spec));
    return {};
}

/// `stream` tells apart what is rotated.
std::vector<double> randomSigns(std::int64_t n, std::uint64_t seed, std::uint64_t stream)
{
    const CounterRng rng(seed, stream);
    std::vector<double> signs(static_cast<std::size_t>(n));
    for (std::size_t j = 0; j < signs.size(); ++j)
        signs[j] = rng.bits(j) % 2 == 0 ? 1 : -1;
    return signs;
}

std::vector<double> repeated(const std::vector<double>& signs, std::int64_t times)
{
    std::vector<double> all;
    for (std::int64_t i = 0; i < times; ++i)
        all.insert(all.end(), signs.begin(), signs.end());
    return all;
}

Result<std::int64_t> blockFor(const Model& model, std::int64_t width, std::int64_t block)
{
    if (block == 0 && HadamardMatrix::has(width))
        return width;
    std::int64_t largest = 1; // a power of two that would do
    while (width % (2 * largest) == 0)
        largest *= 2;
    if (block == 0)
        return refused("has a residual stream of " + std::to_string(width) +
                           " channels, for which no Hadamard matrix is built (2^k times powers of 12, 20 and 28); use "
                           "hadamard:block=" +
                           std::to_string(largest),
                       model.checkpoint->path().string());
    if (width % block != 0)
        return refused("has a residual stream of " + std::to_string(width) + " channels, which blocks of " +
                           std::to_string(block) + " do not divide; use hadamard:block=" + std::to_string(largest),
                       model.checkpoint->path().string());
    return block;
}

/// The layers behind a norm take its weights over, and it multiplies by 1.
Result<void> foldNorm(Rewrite& rewrite, const Model& model, const ResidualStream::Norm& norm,
                      const ChannelMapPtr& rotation, const JobContext& context)
{
    std::vector<ChannelMapPtr> maps{rotation};
    if (norm.weights >= 0) {
        QL_TRY(weights, valuesOf(model, norm.weights, context));
        for (double& weight : weights)
            weight += norm.offset;
        rewrite.layers[norm.weights].values.assign(weights.size(), 1 - norm.offset);
        maps.insert(maps.begin(), scaleMap(std::move(weights)));
    }
    for (const std::int64_t reader : norm.readers)
        rewrite.layers[reader].reads = maps;
    if (norm.feedsTiedHead)
        rewrite.untiedHead = LayerRewrite{.reads = maps, .writes = {}, .rows = {}, .values = {}, .shift = {}};
    return {};
}

void rotateHeads(Rewrite& rewrite, const Model& model, const FoldSites& sites, std::uint64_t seed)
{
    std::uint64_t stream = 1;
    for (const FoldSite& site : sites.sites) {
        if (site.kind != FoldSite::Kind::value)
            continue;
        const std::int64_t size = site.channels / site.keyValueHeads;
        if (!HadamardMatrix::has(size)) {
            rewrite.notes.push_back({site.name, "has heads of " + std::to_string(size) +
                                                    " channels, for which no Hadamard matrix is built; they stay"});
            continue;
        }
        // The same signs in all heads: several query heads read one key-value head.
        const std::vector<double> signs = randomSigns(size, seed, stream++);
        const std::int64_t rows = model.layers[static_cast<std::size_t>(site.producer.layer)].shape[0];
        const ChannelMapPtr made = rotationMap(rows, site.producer.first, size, repeated(signs, site.keyValueHeads));
        rewrite.layers[site.producer.layer].writes.push_back(made);
        if (site.producer.bias >= 0)
            rewrite.layers[site.producer.bias].writes.push_back(made);
        for (const FoldSite::Reader& reader : site.readers)
            rewrite.layers[reader.layer].reads.push_back(
                rotationMap(site.columns(), 0, size, repeated(signs, site.heads)));
    }
}

Result<Rewrite> rewrite(const TransformTask& task, const JobContext& context)
{
    QL_TRY(options, optionsOf(task.spec));
    QL_TRY(stream, findResidualStream(task.model, task.graph, StreamChange::rotation));
    QL_TRY(block, blockFor(task.model, stream.width, options.block));
    const std::vector<double> signs = randomSigns(stream.width, options.seed, 0);
    const ChannelMapPtr rotation = rotationMap(stream.width, 0, block, signs);
    Rewrite rewrite;
    for (const std::int64_t table : stream.tables)
        rewrite.layers[table].rows = {rotation};
    for (const ResidualStream::Writer& writer : stream.writers) {
        const std::int64_t rows = task.model.layers[static_cast<std::size_t>(writer.layer)].shape[0];
        const ChannelMapPtr ofRows =
            rows == stream.width ? rotation : rotationMap(rows, 0, block, repeated(signs, rows / stream.width));
        rewrite.layers[writer.layer].writes.push_back(ofRows);
        if (writer.bias >= 0)
            rewrite.layers[writer.bias].writes.push_back(ofRows);
    }
    for (const ResidualStream::Norm& norm : stream.norms)
        QL_CHECK(foldNorm(rewrite, task.model, norm, rotation, context));
    if (rewrite.untiedHead)
        rewrite.notes.push_back(
            {task.model.layers[static_cast<std::size_t>(stream.tiedHead)].name,
             "was the output head, too, which is a tensor of its own now: it takes over the weights "
             "of the last norm"});
    if (options.heads)
        rotateHeads(rewrite, task.model, findFoldSites(task.model, task.graph), options.seed);
    return rewrite;
}

} // namespace

namespace transforms {
extern const Transform hadamard;
const Transform hadamard{.id = "hadamard",
                         .title = "Hadamard rotation",
                         .formula = "x·R, W·R and Rᵀ·W with R = D·H/√n, D random signs",
                         .source = "Ashkboos et al. 2024 (QuaRot), section 4; Liu et al. 2024 (SpinQuant), R1 and R2",
                         .keys = kKeys,
                         .words = kWords,
                         .accepts = accepts,
                         .rewrite = rewrite};
} // namespace transforms

} // namespace ql
