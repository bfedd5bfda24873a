// SPDX-License-Identifier: GPL-3.0-or-later
// A version of a model as a plan and a runtime make it: weights restored, inputs of layers, keys and values rounded on
// the way, without a copy of the model.
#pragma once

#include "core/calibration/activations.h"
#include "core/formats/activation_scheme.h"
#include "core/model/evaluation/version.h"
#include "core/plan/target.h"
#include "core/realize/code_cache.h"
#include "core/realize/runtime_activations.h"

namespace ql {

struct VersionSettings {
    const Plan* plan = nullptr;               // whose weights and activation schemes are taken; null: the model's own
    const TargetProfile* target = nullptr;    // restores the plan's weights as its runtime does; null: to float32
    const Activations* activations = nullptr; // that quantizers use; ranges for static scales
    /// Under activation schemes the first token of a text (BOS) keeps its inputs outside of the head and of experts:
    /// its outliers would take the range of all others.
    bool keepFirstToken = false;
    const Runtime* runtime = nullptr; // rounds inputs as it does; not beside activation schemes
    /// Of what attention keeps of each token, behind the rotary embedding.
    std::optional<ActivationScheme> keysValues = std::nullopt;
    std::shared_ptr<CodeCache> codes = nullptr; // that several plans share
};

/// Refers to all it is given. Refused by name: static schemes of layers without calibrated ranges, activation schemes
/// of convolutions and beside a runtime's rounding, keys and values whose scales would need later tokens.
Result<ModelVersion> plannedVersion(const Model& model, const VersionSettings& settings, const JobContext& context);

} // namespace ql
