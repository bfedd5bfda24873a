// SPDX-License-Identifier: GPL-3.0-or-later
// AWQ: channels that large activations meet get finer weights, s_j = rms(X_j)^α with one α of 0, 0.05 … 1 for each
// site, the one with the least output error of all layers that read it, tr(ΔW·XᵀX·ΔWᵀ) by rtn at the given scheme. Of
// layers with more than 256 rows evenly spaced ones are tried. The published code takes the mean of |X_j| for rms.
#include "core/base/text.h"
#include "core/transforms/scale_folding.h"
#include "core/transforms/scaled_error.h"
#include "core/transforms/site_choice.h"
#include "core/transforms/smoothing.h"
#include "core/transforms/transform.h"

namespace ql {

namespace {

constexpr TransformOption kKeys[] = {{"alpha", "0…1 for all sites instead of the best of each"},
                                     kSitesOption,
                                     {"scheme", "of the weights, for the search; default int4:g128:asym"}};

Result<void> accepts(const TransformSpec& spec)
{
    QL_CHECK(numberOf(spec, "alpha", 0, 0, 1));
    QL_CHECK(sitesOption(spec, SiteChoice::all));
    QL_CHECK(schemeOption(spec));
    return {};
}

Result<double> bestAlpha(const Model& model, const FoldSite& site, const Scheme& scheme,
                         const ActivationStatistics& input, const std::vector<double>& rms, const JobContext& context)
{
    QL_TRY(readers, SampledReaders::of(model, site, context));
    double best = 0;
    double least = INFINITY;
    for (int step = 0; step <= 20; ++step) {
        const double alpha = step / 20.0;
        QL_TRY(error, readers.error(scheme, columnsOf(site, awqFactors(rms, alpha)), input, context));
        if (error < least) {
            least = error;
            best = alpha;
        }
    }
    return best;
}

Result<Rewrite> rewrite(const TransformTask& task, const JobContext& context)
{
    QL_TRY(choice, sitesOption(task.spec, SiteChoice::all));
    QL_TRY(scheme, schemeOption(task.spec));
    QL_TRY(given, numberOf(task.spec, "alpha", 0, 0, 1));
    Rewrite rewrite;
    QL_TRY(sites, scalableSites(task, choice, rewrite));
    context.progress().addTotal(std::ssize(sites));
    for (const FoldSite& site : sites) {
        QL_TRY(input, inputOf(task.model, site, task.activations, context));
        const std::vector<double> rms = channelsOf(site, input->channelRms);
        double alpha = given;
        if (!task.spec.values.contains("alpha")) {
            QL_TRY(best, bestAlpha(task.model, site, scheme, *input, rms, context));
            alpha = best;
        }
        QL_CHECK(foldScale(rewrite, task.model, site, awqFactors(rms, alpha), {}, context));
        context.progress().addDone(1);
    }
    return rewrite;
}

} // namespace

namespace transforms {
extern const Transform awq;
const Transform awq{.id = "awq",
                    .title = "AWQ scaling",
                    .formula = "s_j = rms(X_j)^α, α by least tr(ΔW·XᵀX·ΔWᵀ) for each site",
                    .source = "Lin et al. 2023 (AWQ), section 3.2",
                    .isLocal = true,
                    .needs = TransformNeeds::gram,
                    .keys = kKeys,
                    .words = {},
                    .accepts = accepts,
                    .rewrite = rewrite};
} // namespace transforms

} // namespace ql
