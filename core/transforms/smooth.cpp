// SPDX-License-Identifier: GPL-3.0-or-later
// SmoothQuant: part of the range of activations moves into the weights that meet them, per channel and with one α for
// all. Weight maxima are over all layers that read the channel, with a floor of 1e-5 as in the published code.
#include "core/base/text.h"
#include "core/transforms/scale_folding.h"
#include "core/transforms/site_choice.h"
#include "core/transforms/smoothing.h"
#include "core/transforms/transform.h"

namespace ql {

namespace {

constexpr TransformOption kKeys[] = {{"alpha", "0…1, how much of the range moves; default 0.5"}, kSitesOption};

Result<void> accepts(const TransformSpec& spec)
{
    QL_CHECK(numberOf(spec, "alpha", 0.5, 0, 1));
    QL_CHECK(sitesOption(spec, SiteChoice::norms));
    return {};
}

Result<Rewrite> rewrite(const TransformTask& task, const JobContext& context)
{
    QL_TRY(alpha, numberOf(task.spec, "alpha", 0.5, 0, 1));
    QL_TRY(choice, sitesOption(task.spec, SiteChoice::norms));
    Rewrite rewrite;
    QL_TRY(sites, scalableSites(task, choice, rewrite));
    for (const FoldSite& site : sites) {
        QL_TRY(inputs, largestInputs(task.model, site, task.activations, context));
        QL_TRY(weights, largestWeights(task.model, site, context));
        QL_CHECK(foldScale(rewrite, task.model, site, smoothingFactors(inputs, weights, alpha), {}, context));
    }
    return rewrite;
}

} // namespace

namespace transforms {
extern const Transform smooth;
const Transform smooth{.id = "smooth",
                       .title = "SmoothQuant",
                       .formula = "s_j = max|X_j|^α / max|W_j|^(1−α); X_j/s_j, W_j·s_j",
                       .source = "Xiao et al. 2023 (SmoothQuant), section 4",
                       .needs = TransformNeeds::ranges,
                       .keys = kKeys,
                       .words = {},
                       .accepts = accepts,
                       .rewrite = rewrite};
} // namespace transforms

} // namespace ql
