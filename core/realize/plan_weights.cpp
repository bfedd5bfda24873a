// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/plan_weights.h"

namespace ql {

Result<TensorData> PlanWeights::weights(std::int64_t layer, const JobContext& context) const
{
    const Candidate& candidate = m_plan.candidates[static_cast<std::size_t>(layer)];
    if (candidate.weights.isKeep())
        return m_model.loadWeights(layer, context);
    const JobContext inner(context.executor(), context.stopToken()); // counts in elements, a run in windows
    QL_TRY(quantized, realize(m_model, layer, candidate, m_activations, inner));
    const Dtype dtype =
        m_target ? m_target->restoreDtype(m_model, m_model.layers[static_cast<std::size_t>(layer)]) : Dtype::f32;
    QL_TRY(restored, restoreAs(quantized, dtype, inner));
    const auto owner = std::make_shared<Buffer>(std::move(restored));
    return TensorData{{dtype, quantized.shape, owner->data()}, owner};
}

} // namespace ql
