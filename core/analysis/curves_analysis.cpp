// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/analysis.h"
#include "core/analysis/analysis_json.h"
#include "core/analysis/error_curves.h"

namespace ql {

namespace {

constexpr std::int64_t kGroupSize = 128;

Result<std::string> run(const Model& model, std::int64_t layer, const JobContext& context)
{
    QL_TRY(weights, model.loadWeights(layer, context));
    QL_TRY(curves, computeErrorCurves(weights.view, kGroupSize, context));
    QL_CHECK(model.checkpoint->checkIntact());
    nlohmann::ordered_json json = layerJson(model.layers[static_cast<std::size_t>(layer)]);
    json["crest_factor_block32"] = curves.crestFactor32;
    json["crest_factor_block16"] = curves.crestFactor16;
    json["crest_factor_channel"] = curves.crestFactorChannel;
    json["curves"] = nlohmann::ordered_json::array();
    for (const ErrorCurve& curve : curves.curves) {
        auto points = nlohmann::ordered_json::array();
        for (const CurvePoint& point : curve.points)
            points.push_back({{"scheme", point.scheme},
                              {"element_bits", point.elementBits},
                              {"bits_per_weight", point.bitsPerWeight},
                              {"sqnr_db", point.sqnrDb},
                              {"mse", point.mse}});
        json["curves"].push_back({{"family", curve.family}, {"points", std::move(points)}});
    }
    json["crossovers"] = nlohmann::ordered_json::array();
    for (const Crossover& crossover : crestFactorCrossovers())
        json["crossovers"].push_back({{"integer", std::string(crossover.integer)},
                                      {"minifloat", std::string(crossover.minifloat)},
                                      {"integer_wins_below_crest_factor", crossover.crestFactor}});
    return jsonText(json);
}

} // namespace

namespace analyses {
extern const Analysis curves;
const Analysis curves{.id = "curves",
                      .title = "FP against INT",
                      .description = "SQNR and MSE of INT, ExMy, MX and NV formats at 2 to 8 bits, with crest factors",
                      .run = run};
} // namespace analyses

} // namespace ql
