// SPDX-License-Identifier: GPL-3.0-or-later
// SmoothQuant+: SmoothQuant's factors with one α of 0, 0.05 … 1 for the whole model, the one with the least output
// error of all layers together. The published search runs the quantized model for every α; here the error of each
// layer's output is tr(ΔW·XᵀX·ΔWᵀ) with the inputs of the unquantized model, by rtn at the given scheme, which leaves
// out how errors add up along the depth. Where no α is better than none, nothing changes. Of layers with more than 256
// rows evenly spaced ones are tried.
#include "core/base/text.h"
#include "core/transforms/scale_folding.h"
#include "core/transforms/scaled_error.h"
#include "core/transforms/site_choice.h"
#include "core/transforms/smoothing.h"
#include "core/transforms/transform.h"

#include <algorithm>
#include <array>

namespace ql {

namespace {

constexpr std::size_t kSteps = 21;
constexpr TransformOption kKeys[] = {kSitesOption,
                                     {"scheme", "of the weights, for the search; default int4:g128:asym"}};

Result<void> accepts(const TransformSpec& spec)
{
    QL_CHECK(sitesOption(spec, SiteChoice::norms));
    QL_CHECK(schemeOption(spec));
    return {};
}

double alphaOf(std::size_t step)
{
    return static_cast<double>(step) / static_cast<double>(kSteps - 1);
}

Result<Rewrite> rewrite(const TransformTask& task, const JobContext& context)
{
    QL_TRY(choice, sitesOption(task.spec, SiteChoice::norms));
    QL_TRY(scheme, schemeOption(task.spec));
    Rewrite rewrite;
    QL_TRY(sites, scalableSites(task, choice, rewrite));
    context.progress().addTotal(std::ssize(sites));
    std::array<double, kSteps> errors{};
    double plain = 0;                                                        // without factors
    std::vector<std::pair<std::vector<double>, std::vector<double>>> ranges; // of inputs and weights
    for (const FoldSite& site : sites) {
        QL_TRY(input, inputOf(task.model, site, task.activations, context));
        QL_TRY(inputs, largestInputs(task.model, site, task.activations, context));
        QL_TRY(weights, largestWeights(task.model, site, context));
        QL_TRY(readers, SampledReaders::of(task.model, site, context));
        QL_TRY(error, readers.error(scheme, std::vector<double>(static_cast<std::size_t>(site.columns()), 1), *input,
                                    context));
        plain += error;
        for (std::size_t step = 0; step < kSteps; ++step) {
            const std::vector<double> s = columnsOf(site, smoothingFactors(inputs, weights, alphaOf(step)));
            QL_TRY(with, readers.error(scheme, s, *input, context));
            errors[step] += with;
        }
        ranges.emplace_back(std::move(inputs), std::move(weights));
        context.progress().addDone(1);
    }
    const auto least = std::ranges::min_element(errors);
    if (*least >= plain) {
        rewrite.notes.push_back({"smooth_plus", "changes nothing: no α makes the error of the outputs smaller"});
        return rewrite;
    }
    const double alpha = alphaOf(static_cast<std::size_t>(least - errors.begin()));
    for (std::size_t i = 0; i < sites.size(); ++i)
        QL_CHECK(foldScale(rewrite, task.model, sites[i], smoothingFactors(ranges[i].first, ranges[i].second, alpha),
                           {}, context));
    rewrite.notes.push_back({"smooth_plus", "chose α = " + formatDouble(alpha) + ": error of the outputs " +
                                                formatSignificant(*least / plain, 3) + " times that without"});
    return rewrite;
}

} // namespace

namespace transforms {
extern const Transform smooth_plus;
const Transform smooth_plus{.id = "smooth_plus",
                            .title = "SmoothQuant+",
                            .formula = "SmoothQuant with one α by least Σ tr(ΔW·XᵀX·ΔWᵀ) over the model",
                            .source = "Pan et al. 2023 (SmoothQuant+), section 3",
                            .needs = TransformNeeds::gram,
                            .keys = kKeys,
                            .words = {},
                            .accepts = accepts,
                            .rewrite = rewrite};
} // namespace transforms

} // namespace ql
