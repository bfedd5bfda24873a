// SPDX-License-Identifier: GPL-3.0-or-later
// Percentile smoothing: only the channels above the k-th largest range a*, k = ⌊share·K + 1.5⌋ of K channels, are
// divided, down to a*. Others stay as they are, and so do their weights.
#include "core/transforms/scale_folding.h"
#include "core/transforms/site_choice.h"
#include "core/transforms/smoothing.h"
#include "core/transforms/transform.h"

namespace ql {

namespace {

constexpr double kShare = 0.005;
constexpr TransformOption kKeys[] = {{"share", "0…1, of channels that are outliers; default 0.005"}, kSitesOption};

Result<void> accepts(const TransformSpec& spec)
{
    QL_CHECK(numberOf(spec, "share", kShare, 0, 1));
    QL_CHECK(sitesOption(spec, SiteChoice::norms));
    return {};
}

Result<Rewrite> rewrite(const TransformTask& task, const JobContext& context)
{
    QL_TRY(share, numberOf(task.spec, "share", kShare, 0, 1));
    QL_TRY(choice, sitesOption(task.spec, SiteChoice::norms));
    Rewrite rewrite;
    QL_TRY(sites, scalableSites(task, choice, rewrite));
    for (const FoldSite& site : sites) {
        QL_TRY(inputs, largestInputs(task.model, site, task.activations, context));
        QL_CHECK(foldScale(rewrite, task.model, site, percentileFactors(inputs, share), {}, context));
    }
    return rewrite;
}

} // namespace

namespace transforms {
extern const Transform percentile;
const Transform percentile{.id = "percentile",
                           .title = "Percentile smoothing",
                           .formula = "s_j = max(1, max|X_j| / a*), a* the range that a share of channels exceeds",
                           .source = "Zhang et al. 2023 (Dual Grained Quantization), section 3.3",
                           .isLocal = true,
                           .needs = TransformNeeds::ranges,
                           .keys = kKeys,
                           .words = {},
                           .accepts = accepts,
                           .rewrite = rewrite};
} // namespace transforms

} // namespace ql
