// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/analysis.h"
#include "core/analysis/analysis_json.h"
#include "core/analysis/format_fit.h"

#include <cmath>

namespace ql {

namespace {

Result<std::string> run(const Model& model, std::int64_t layer, const JobContext& context)
{
    QL_TRY(weights, model.loadWeights(layer, context));
    QL_TRY(byWidth, fitFormats(weights.view, {3, 4, 5, 6, 7, 8}, {}, context));
    QL_CHECK(model.checkpoint->checkIntact());
    nlohmann::ordered_json json = layerJson(model.layers[static_cast<std::size_t>(layer)]);
    json["clip"] = "largest level, in shares of the row's largest magnitude; 111 tried, the best of each row";
    json["rows"] = byWidth.front().runs;
    json["weights"] = byWidth.front().weights;
    json["widths"] = nlohmann::ordered_json::array();
    for (const FormatFits& width : byWidth) {
        auto fits = nlohmann::ordered_json::array();
        for (const FormatFit& fit : width.fits)
            fits.push_back({{"element", fit.element},
                            {"sqnr_db", fit.sqnrDb},
                            {"mean_clip", fit.clip},
                            {"mean_clip_sigmas", fit.clipSigmas},
                            {"rows_won", fit.runsWon}});
        json["widths"].push_back(
            {{"bits", width.bits},
             {"best", width.fits.empty() ? std::string() : width.fits.front().element},
             {"split_most_rows_want", width.mostWanted},
             {"fits", std::move(fits)},
             {"power",
              {{"element", "pow" + std::to_string(width.bits) + "_" +
                               std::to_string(static_cast<int>(std::lround(100 * width.power.exponent)))},
               {"sqnr_db", width.power.sqnrDb},
               {"sqnr_db_of_integers", width.power.sqnrDbOfIntegers}}}});
    }
    return jsonText(json);
}

} // namespace

namespace analyses {
extern const Analysis formats;
const Analysis formats{.id = "formats",
                       .title = "Numbers that fit",
                       .description =
                           "best clip of integers and every minifloat split, best exponent of powers, at 3 to 8 bits",
                       .run = run};
} // namespace analyses

} // namespace ql
