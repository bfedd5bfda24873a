// SPDX-License-Identifier: GPL-3.0-or-later
// The weights a plan gives a model when it runs: restored as the target's runtime restores them; layers the plan keeps
// are the checkpoint's own. Nothing of the model is copied; a layer is realized when it is asked for. Codes that took a
// quantizer long are held for the next time, up to a bound; all of them are where a cache is given, for other plans.
#pragma once

#include "core/model/graph/run.h"
#include "core/plan/target.h"
#include "core/realize/code_cache.h"
#include "core/realize/realize.h"

namespace ql {

class PlanWeights final : public graph::WeightSource {
public:
    /// Refers to the model, the plan and, if given, the activations; they outlive it. Without a target layers are
    /// restored to float32.
    PlanWeights(const Model& model, const Plan& plan, const TargetProfile* target, const Activations* activations,
                std::shared_ptr<CodeCache> codes = nullptr);
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override;

private:
    /// Before rows are multiplied, so that models with other factors share them.
    Result<std::shared_ptr<const QuantizedTensor>> codes(std::int64_t layer, const JobContext& context) const;
    Result<TensorData> keptWeights(std::int64_t layer, const JobContext& context) const;

    const Model& m_model;
    const Plan& m_plan;
    const TargetProfile* m_target;
    const Activations* m_activations;
    const bool m_holdsAll;
    const std::shared_ptr<CodeCache> m_held;
};

} // namespace ql
