// SPDX-License-Identifier: GPL-3.0-or-later
// "Predicted against measured": what a study remembers of every plan that was predicted and then measured, and the loss
// model that follows. The records are one piece of the study, a JSON list, each a plan once per metric, text and
// runtime; the latest measurement replaces an earlier one.
#pragma once

#include "core/jobs/result_sink.h"
#include "core/plan/loss_model.h"

namespace ql {

/// What a prediction is of. Points compare where all of it is equal; those on other text say it with more error.
struct PredictedQuantity {
    std::string metric;  // id of the metric whose sum it is
    std::string unit;    // of the metric
    std::string runtime; // whose rounding of activations the plan had; empty: none
    std::string windows; // hash of the tokens it was measured on
    friend bool operator==(const PredictedQuantity&, const PredictedQuantity&) = default;
};

struct PredictionRecord {
    PredictedQuantity of;
    std::string plan; // planHash
    std::string text; // name of the file
    /// Which table of losses the sum is of, see lossesName(). Empty: losses that the metric measured for the plan.
    std::string losses;
    std::int64_t windowCount = 0;
    MeasuredPlan point;              // in nats per token
    std::vector<std::string> groups; // of point.shares
    Prediction expected;             // before it was measured
    bool wasPredicted = false;       // false: a point that only the curve is fitted on
};

/// Names a plan by its candidates, variant and target.
std::string planHash(const Plan& plan, const Model& model);

/// Those of the study; records that are not whole are left out.
std::vector<PredictionRecord> readPredictions(const ResultSink& sink);
/// Adds to those of the study.
Result<void> keepPredictions(ResultSink& sink, std::vector<PredictionRecord> records);

/// Fitted on the records of that metric and runtime but those of the plan itself: of measurements on other windows with
/// their standard errors. Sums of metrics in nats per token are absolute. `groups`: by which the shares of what is to
/// be predicted are counted; roles are corrected where those of all records are, too.
LossModel lossModelOf(std::span<const PredictionRecord> records, const PredictedQuantity& of,
                      std::string_view exceptPlan = {}, std::span<const std::string> groups = {});
/// False while the last plan of that metric and runtime that was predicted was measured outside of its interval.
bool isTrusted(std::span<const PredictionRecord> records, const PredictedQuantity& of);

/// What the predictions of a metric are off by, in words: "down_proj: 1.8 times what is predicted (t = 4.1)".
std::vector<std::string> describeSuspects(std::span<const PredictionRecord> records, const PredictedQuantity& of);

/// The quantity most records are of; nothing if there is none of the metric.
std::optional<PredictedQuantity> usualQuantity(std::span<const PredictionRecord> records, std::string_view metric);
/// Mean floor of its records.
double usualFloor(std::span<const PredictionRecord> records, const PredictedQuantity& of);

inline constexpr std::string_view kNatsPerToken = "nats per token";

} // namespace ql
