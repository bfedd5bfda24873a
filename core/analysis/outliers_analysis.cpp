// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/analysis.h"
#include "core/analysis/analysis_json.h"
#include "core/analysis/outliers.h"

namespace ql {

namespace {

constexpr double kSigmas = 6;

Result<std::string> run(const Model& model, std::int64_t layer, const JobContext& context)
{
    QL_TRY(weights, model.loadWeights(layer, context));
    QL_TRY(summary, findOutliers(weights.view, context, kSigmas));
    QL_CHECK(model.checkpoint->checkIntact());
    nlohmann::ordered_json json = layerJson(model.layers[static_cast<std::size_t>(layer)]);
    json["threshold_sigmas"] = kSigmas;
    json["threshold_abs"] = summary.threshold;
    json["outlier_elements"] = summary.count;
    json["outlier_share"] = summary.share;
    json["largest"] = nlohmann::ordered_json::array();
    for (const Outlier& outlier : summary.largest)
        json["largest"].push_back({{"row", outlier.row}, {"col", outlier.col}, {"value", outlier.value}});
    return jsonText(json);
}

} // namespace

namespace analyses {
extern const Analysis outliers;
const Analysis outliers{.id = "outliers",
                        .title = "Outliers",
                        .description = "Share of weights beyond 6 standard deviations, and where the 100 largest sit",
                        .run = run};
} // namespace analyses

} // namespace ql
