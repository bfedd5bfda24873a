// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/analysis.h"
#include "core/analysis/analysis_json.h"
#include "core/analysis/sign_groups.h"

namespace ql {

namespace {

constexpr int kDims = 8;
constexpr double kTemperature = 1;

Result<std::string> run(const Model& model, std::int64_t layer, const JobContext& context)
{
    QL_TRY(weights, model.loadWeights(layer, context));
    QL_TRY(use, signUse(weights.view, kDims, kTemperature, context));
    QL_CHECK(model.checkpoint->checkIntact());
    nlohmann::ordered_json json = layerJson(model.layers[static_cast<std::size_t>(layer)]);
    json["weights_per_code"] = use.dims;
    json["codes"] = use.vectors;
    json["temperature"] = kTemperature;
    json["sample_entropy_bits"] = use.sampleBits;
    json["groups"] = nlohmann::ordered_json::array();
    for (const SignGroups& groups : use.byGroups)
        json["groups"].push_back({{"groups", groups.groups},
                                  {"code_usage_entropy_bits", groups.usageBits},
                                  {"codebook_utilisation", groups.utilisation},
                                  {"batch_entropy_bits", groups.batchBits}});
    return jsonText(json);
}

} // namespace

namespace analyses {
extern const Analysis signs;
const Analysis signs{.id = "signs",
                     .title = "Use of sign codes",
                     .description = "Signs of 8 weights as one code or in groups: entropy and share of codes in use",
                     .run = run};
} // namespace analyses

} // namespace ql
