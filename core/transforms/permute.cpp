// SPDX-License-Identifier: GPL-3.0-or-later
// Order of channels: those inside an MLP, and inside each head the values of attention, are sorted by the norm of the
// weights that read them, largest first, so that groups along the input hold weights of a kind. The published method
// sorts keys and queries for a cache in blocks; rotary positions pair their channels, which a file cannot say, so they
// stay.
#include "core/jobs/parallel.h"
#include "core/transforms/channel_order.h"
#include "core/transforms/scale_folding.h"
#include "core/transforms/transform.h"

#include <algorithm>

namespace ql {

namespace {

Result<void> accepts(const TransformSpec&)
{
    return {};
}

/// Σ W_j² over all rows of all readers, per channel.
Result<std::vector<double>> squaresOf(const Model& model, const FoldSite& site, const JobContext& context)
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

Result<Rewrite> rewrite(const TransformTask& task, const JobContext& context)
{
    Rewrite rewrite;
    FoldSites found = findFoldSites(task.model, task.graph);
    rewrite.notes = abridged(std::move(found.others));
    for (const FoldSite& site : found.sites) {
        if (site.kind == FoldSite::Kind::norm)
            continue;
        QL_TRY(squares, squaresOf(task.model, site, context));
        const std::int64_t size =
            site.kind == FoldSite::Kind::value ? site.channels / site.keyValueHeads : site.channels;
        foldOrder(rewrite, task.model, site, sortedInParts(squares, size));
    }
    if (rewrite.layers.empty())
        return refused("has no place whose channels can change their order", task.model.checkpoint->path().string());
    return rewrite;
}

} // namespace

namespace transforms {
extern const Transform permute;
const Transform permute{.id = "permute",
                        .title = "Sorted channels",
                        .formula = "channels of MLPs and of heads' values in the order of Σ W_j², largest first",
                        .source = "Trukhanov and Soloveychik 2024 (K-sort), section 3",
                        .isLocal = true,
                        .keys = {},
                        .words = {},
                        .accepts = accepts,
                        .rewrite = rewrite};
} // namespace transforms

} // namespace ql
