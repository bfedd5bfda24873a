// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/plan_weights.h"

namespace ql {

Result<TensorData> PlanWeights::weights(std::int64_t layer, const JobContext& context) const
{
    const Candidate& candidate = m_plan.candidates[static_cast<std::size_t>(layer)];
    if (candidate.weights.isKeep())
        return m_model.loadWeights(layer, context);
    QL_TRY(quantized, realize(m_model, layer, candidate, m_activations, context));
    const Dtype dtype =
        m_target ? m_target->restoreDtype(m_model, m_model.layers[static_cast<std::size_t>(layer)]) : Dtype::f32;
    QL_TRY(restored, restoreAs(quantized, dtype, context));
    const auto owner = std::make_shared<Buffer>(std::move(restored));
    return TensorData{{dtype, quantized.shape, owner->data()}, owner};
}

} // namespace ql
