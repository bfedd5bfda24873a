// SPDX-License-Identifier: GPL-3.0-or-later
// What a plan was said to cost before it is measured, and the study's record of both.
#pragma once

#include "app/cli/console.h"
#include "core/model/evaluation/windows.h"
#include "core/plan/prediction_records.h"
#include "core/sensitivity/metric.h"

namespace ql::cli {

/// The records of the studies at these paths (what is no study is passed over), the later ones last.
std::vector<PredictionRecord> predictionsIn(std::span<const std::string> paths);

/// A prediction of KLD as it is shown: value, interval, how many plans it rests on, whether it is trusted and, if it is
/// not, what is suspected.
nlohmann::ordered_json predictionJson(const Prediction& prediction, std::span<const PredictionRecord> records,
                                      const PredictedQuantity& of);

/// The record of a plan that was not measured yet: predicted by the metric and the records; nothing where the
/// activations admit no metric in nats per token.
struct PlanToPredict {
    const Model& model;
    const Plan& plan;
    const TargetProfile* target = nullptr;
    const Activations* activations = nullptr;
    std::string runtime;
    const Windows& windows;
    Scored scored = Scored::secondHalf;
    std::string text; // name of the file
};
Result<std::optional<PredictionRecord>> predictPlan(Console& console, const PlanToPredict& task, double floor,
                                                    std::span<const PredictionRecord> records, ResultSink* sink);

/// Hash of the tokens and of which of them are scored.
std::string windowsHash(const Windows& windows, Scored scored);

} // namespace ql::cli
