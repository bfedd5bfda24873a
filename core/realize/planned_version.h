// SPDX-License-Identifier: GPL-3.0-or-later
// A version of a model as a plan and a runtime make it: weights restored, inputs of layers, keys and values rounded on
// the way, without a copy of the model.
#pragma once

#include "core/calibration/activations.h"
#include "core/formats/activation_scheme.h"
#include "core/model/evaluation/version.h"
#include "core/plan/plan.h"
#include "core/realize/runtime_activations.h"

namespace ql {

struct VersionSettings {
    const graph::WeightSource& weights;       // PlanWeights, or the model's own
    const Plan* plan = nullptr;               // whose activation schemes are applied; null: none
    const Activations* activations = nullptr; // ranges for static scales
    /// Under activation schemes the first token of a text (BOS) keeps its inputs outside of the head and of experts:
    /// its outliers would take the range of all others.
    bool keepFirstToken = false;
    const Runtime* runtime = nullptr; // rounds inputs as it does; not beside activation schemes
    /// Of what attention keeps of each token, behind the rotary embedding.
    std::optional<ActivationScheme> keysValues = std::nullopt;
};

/// Refers to all it is given. Refused by name: static schemes of layers without calibrated ranges, activation schemes
/// of convolutions and beside a runtime's rounding, keys and values whose scales would need later tokens.
Result<ModelVersion> plannedVersion(const Model& model, const VersionSettings& settings, const JobContext& context);

} // namespace ql
