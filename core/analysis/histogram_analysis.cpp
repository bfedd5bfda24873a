// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/analysis.h"
#include "core/analysis/analysis_json.h"
#include "core/analysis/histogram.h"

namespace ql {

namespace {

constexpr std::size_t kBins = 256;

Result<std::string> run(const Model& model, std::int64_t layer, const JobContext& context)
{
    QL_TRY(weights, model.loadWeights(layer, context));
    QL_TRY(histogram, computeHistogram(weights.view, context, kBins));
    QL_CHECK(model.checkpoint->checkIntact());
    nlohmann::ordered_json json = layerJson(model.layers[static_cast<std::size_t>(layer)]);
    json["min"] = histogram.min;
    json["max"] = histogram.max;
    json["bins"] = histogram.counts.size();
    json["bin_width"] = histogram.binWidth();
    json["elements_in_bins"] = histogram.total();
    json["elements_not_finite"] = histogram.nonFinite;
    json["counts"] = histogram.counts;
    return jsonText(json);
}

} // namespace

namespace analyses {
extern const Analysis histogram;
const Analysis histogram{.id = "histogram",
                         .title = "Histogram",
                         .description = "Counts of the weights in 256 equal bins between the least and the largest",
                         .run = run};
} // namespace analyses

} // namespace ql
