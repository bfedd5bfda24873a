// SPDX-License-Identifier: GPL-3.0-or-later
// A model as it runs under a plan: restored weights and, if asked for, activations rounded as a runtime rounds them.
// What validation, traces and generation compare with the model itself.
#pragma once

#include "core/model/evaluation/evaluate.h"
#include "core/realize/plan_weights.h"
#include "core/realize/runtime_activations.h"

namespace ql {

class PlanVersion {
public:
    /// Without a plan the model's own weights; without a target layers are restored to float32; without a runtime
    /// activations stay as they are. Refers to all of them and to the context, which outlive it.
    PlanVersion(const Model& model, const Plan* plan, const TargetProfile* target, const Activations* activations,
                const Runtime* runtime, const JobContext& context);
    PlanVersion(const PlanVersion&) = delete;
    PlanVersion& operator=(const PlanVersion&) = delete;

    const ModelVersion& version() const { return m_version; }

private:
    std::unique_ptr<const graph::WeightSource> m_weights;
    ModelVersion m_version;
};

} // namespace ql
