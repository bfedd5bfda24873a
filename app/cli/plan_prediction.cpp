// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/plan_prediction.h"

#include "core/study/study.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace ql::cli {

std::vector<PredictionRecord> predictionsIn(std::span<const std::string> paths)
{
    std::vector<PredictionRecord> records;
    std::vector<std::string> read;
    for (const std::string& path : paths) {
        if (!path.ends_with(".qloupe") || !std::filesystem::exists(path) || std::ranges::find(read, path) != read.end())
            continue;
        read.push_back(path);
        std::vector<Warning> warnings;
        const auto study = openStudy(path, warnings);
        if (!study)
            continue;
        for (PredictionRecord& record : readPredictions(**study))
            records.push_back(std::move(record));
    }
    return records;
}

nlohmann::ordered_json predictionJson(const Prediction& prediction, std::span<const PredictionRecord> records,
                                      const PredictedQuantity& of)
{
    nlohmann::ordered_json json{{"metric", of.metric},
                                {"unit", kNatsPerToken},
                                {"value", numberOrNull(prediction.value)},
                                {"low", prediction.low},
                                {"high", numberOrNull(prediction.high)},
                                {"level", prediction.level},
                                {"plans_behind", prediction.plans}};
    json["trusted"] = isTrusted(records, of);
    return json;
}

} // namespace ql::cli
