// SPDX-License-Identifier: GPL-3.0-or-later
// The weights a plan gives a model when it runs: restored as the target's runtime restores them; layers the plan keeps
// are the checkpoint's own. Nothing of the model is copied; a layer is realized when it is asked for.
#pragma once

#include "core/model/graph/run.h"
#include "core/plan/target.h"
#include "core/realize/realize.h"

namespace ql {

class PlanWeights final : public graph::WeightSource {
public:
    /// Refers to the model, the plan and, if given, the activations; they outlive it. Without a target layers are
    /// restored to float32.
    PlanWeights(const Model& model, const Plan& plan, const TargetProfile* target, const Activations* activations)
        : m_model(model), m_plan(plan), m_target(target), m_activations(activations)
    {}
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override;

private:
    const Model& m_model;
    const Plan& m_plan;
    const TargetProfile* m_target;
    const Activations* m_activations;
};

} // namespace ql
