// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/plan_weights.h"

#include "core/checkpoint/stored_type.h"
#include "core/realize/changed_tensors.h"

namespace ql {

namespace {
constexpr std::int64_t kHeldBytes = std::int64_t{512} << 20;
}

PlanWeights::PlanWeights(const Model& model, const Plan& plan, const TargetProfile* target,
                         const Activations* activations, std::shared_ptr<CodeCache> codes)
    : m_model(model),
      m_plan(plan),
      m_target(target),
      m_activations(activations),
      m_holdsAll(codes != nullptr),
      m_held(codes ? std::move(codes) : std::make_shared<CodeCache>(kHeldBytes))
{}

Result<std::shared_ptr<const QuantizedTensor>> PlanWeights::codes(std::int64_t layer, const JobContext& context) const
{
    const Candidate& candidate = m_plan.candidates[static_cast<std::size_t>(layer)];
    if (auto held = m_held->find(layer, candidate))
        return held;
    QL_TRY(quantized, realizeUnscaled(m_model, layer, candidate, m_activations, context));
    auto made = std::make_shared<const QuantizedTensor>(std::move(quantized));
    const bool isQuick = candidate.quantizer.id == "rtn" && candidate.weights.additions.empty();
    if (m_holdsAll || (!isQuick && !candidate.weights.isCast()))
        m_held->keep(layer, candidate, made);
    return made;
}

Result<TensorData> PlanWeights::keptWeights(std::int64_t layer, const JobContext& context) const
{
    const Layer& kept = m_model.layers[static_cast<std::size_t>(layer)];
    QL_TRY(data, m_model.loadWeights(layer, context));
    // What a transform computed is rounded by a target that keeps it, but for vectors where these are float32 in files.
    if (!m_target || (kept.shape.size() < 2 && m_target->restoreDtype(m_model, kept) == Dtype::f32))
        return data;
    return asStored(m_model.checkpoint->tensors()[static_cast<std::size_t>(kept.tensor)], std::move(data), context);
}

Result<TensorData> PlanWeights::weights(std::int64_t layer, const JobContext& context) const
{
    const Candidate& candidate = m_plan.candidates[static_cast<std::size_t>(layer)];
    if (candidate.weights.isKeep())
        return keptWeights(layer, context);
    const JobContext inner(context.executor(), context.stopToken()); // counts in elements, a run in windows
    QL_TRY(quantized, codes(layer, inner));
    if (!rowFactorsOf(m_model, layer).empty()) {
        QL_TRY(scaled, scaledRows(m_model, layer, *quantized, inner));
        quantized = std::make_shared<const QuantizedTensor>(std::move(scaled));
    }
    const Dtype dtype =
        m_target ? m_target->restoreDtype(m_model, m_model.layers[static_cast<std::size_t>(layer)]) : Dtype::f32;
    QL_TRY(restored, restoreAs(*quantized, dtype, inner));
    const auto owner = std::make_shared<Buffer>(std::move(restored));
    return TensorData{{dtype, quantized->shape, owner->data()}, owner};
}

} // namespace ql
