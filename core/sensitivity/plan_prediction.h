// SPDX-License-Identifier: GPL-3.0-or-later
// What a plan is said to cost before it is measured: the record that a measurement completes, see prediction_records.h.
#pragma once

#include "core/model/evaluation/evaluate.h"
#include "core/plan/prediction_records.h"
#include "core/sensitivity/metric.h"

namespace ql {

struct PlanToPredict {
    const Model& model;
    const Plan& plan;
    const TargetProfile* target = nullptr;
    const Activations* activations = nullptr;
    std::string runtime; // id, or empty
    const Windows& windows;
    Scored scored = Scored::secondHalf;
    std::string text; // name of the file
    /// Losses to add up, in nats per token, in place of the best metric's; named by its metric. Null: those.
    const CostTable* losses = nullptr;
    std::string lossesName = {};                   // as records say it
    std::span<const LayerCoupling> couplings = {}; // beside the losses
};

/// What a record of the plan would be of; nothing where there is no table and the activations admit no metric in nats
/// per token.
std::optional<PredictedQuantity> quantityOf(const PlanToPredict& task);

/// The record of a plan that was not measured yet: predicted by the table, or the best metric that the activations
/// admit, and by the records; nothing where quantityOf() says so. `floor`: see PredictedSum. The sink keeps cells, if
/// given.
Result<std::optional<PredictionRecord>> predictPlan(const PlanToPredict& task, double floor,
                                                    std::span<const PredictionRecord> records, ResultSink* sink,
                                                    const JobContext& context);

/// KLD of what `other` does to activations, keys and values alone, with the weights of the task's model: 0 at once
/// where it leaves them. `identity` names `other` with all that makes it what it is; the sink keeps scores, if given.
Result<double> activationFloor(EvaluationTask task, const ModelVersion& other, const std::string& identity,
                               ResultSink* sink, const JobContext& context);

/// Hash of the tokens and of which of them are scored.
std::string windowsHash(const Windows& windows, Scored scored);

} // namespace ql
