// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/plan_version.h"

namespace ql {

PlanVersion::PlanVersion(const Model& model, const Plan* plan, const TargetProfile* target,
                         const Activations* activations, const Runtime* runtime, const JobContext& context)
{
    if (plan)
        m_weights = std::make_unique<PlanWeights>(model, *plan, target, activations);
    else
        m_weights = std::make_unique<graph::CheckpointWeights>(model);
    m_version.weights = m_weights.get();
    if (runtime)
        m_version.layerInput = runtimeActivations(*runtime, model, plan, context);
}

} // namespace ql
