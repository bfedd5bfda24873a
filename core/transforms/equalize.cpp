// SPDX-License-Identifier: GPL-3.0-or-later
// Cross-layer equalization: a channel between two layers gets the same largest weight on both sides, where it is made
// (W1, row i) and where it is read (W2, column i).
#include "core/jobs/parallel.h"
#include "core/transforms/scale_folding.h"
#include "core/transforms/site_choice.h"
#include "core/transforms/smoothing.h"
#include "core/transforms/transform.h"

#include <cmath>

namespace ql {

namespace {

Result<void> accepts(const TransformSpec&)
{
    return {};
}

/// max|W1_i| over the inputs, per channel.
Result<std::vector<double>> largestOutputWeights(const Model& model, const FoldSite& site, const JobContext& context)
{
    QL_TRY(data, model.loadWeights(site.producer.layer, context));
    const std::int64_t cols = data.view.shape[1];
    std::vector<double> largest(static_cast<std::size_t>(site.channels), 0);
    QL_CHECK(parallelFor(
        context, site.channels, std::max<std::int64_t>(1, (1 << 16) / cols), [&](std::int64_t begin, std::int64_t end) {
            std::vector<double> row(static_cast<std::size_t>(cols));
            for (std::int64_t r = begin; r < end; ++r) {
                decode(data.view.dtype, data.view.data, (site.producer.first + r) * cols, cols, row.data());
                for (const double w : row)
                    largest[static_cast<std::size_t>(r)] = std::max(largest[static_cast<std::size_t>(r)], std::fabs(w));
            }
        }));
    return largest;
}

Result<Rewrite> rewrite(const TransformTask& task, const JobContext& context)
{
    Rewrite rewrite;
    QL_TRY(sites, scalableSites(task, SiteChoice::inner, rewrite));
    for (const FoldSite& site : sites) {
        QL_TRY(made, largestOutputWeights(task.model, site, context));
        QL_TRY(read, largestWeights(task.model, site, context));
        QL_CHECK(foldScale(rewrite, task.model, site, equalizingFactors(made, read), {}, context));
    }
    return rewrite;
}

} // namespace

namespace transforms {
extern const Transform equalize;
const Transform equalize{.id = "equalize",
                         .title = "Cross-layer equalization",
                         .formula = "r_i = √(max|W1_i|·max|W2_i|) / max|W2_i|; W1_i/r_i, W2_i·r_i",
                         .source = "Nagel et al. 2019, section 4.1; Aggarwal et al. 2023, section 3",
                         .isLocal = true,
                         .keys = {},
                         .words = {},
                         .accepts = accepts,
                         .rewrite = rewrite};
} // namespace transforms

} // namespace ql
