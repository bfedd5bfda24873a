// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/plan.h"

#include "core/checkpoint/stored_type.h"
#include "core/formats/quantized_tensor.h"

#include <cassert>

namespace ql {

namespace {
Candidate keepCandidate()
{
    auto scheme = parseScheme("keep");
    assert(scheme);
    return {.weights = std::move(scheme).value(), .activations = {}, .quantizer = {}};
}
} // namespace

Plan keepPlan(const Model& model)
{
    Plan plan;
    if (model.checkpoint) {
        plan.fingerprint = model.checkpoint->fingerprint();
        plan.variant = variantOf(*model.checkpoint);
        plan.checkpointName = model.checkpoint->path().filename().string();
        if (plan.checkpointName.empty()) // "folder/"
            plan.checkpointName = model.checkpoint->path().parent_path().filename().string();
    }
    plan.candidates.assign(model.layers.size(), keepCandidate());
    plan.locked.assign(model.layers.size(), false);
    return plan;
}

Plan uniformPlan(const Model& model, const Candidate& candidate)
{
    Plan plan = keepPlan(model);
    for (std::size_t i = 0; i < model.layers.size(); ++i)
        if (model.layers[i].quantizable)
            plan.candidates[i] = candidate;
    return plan;
}

std::int64_t layerPayloadBits(const Layer& layer, const Candidate& candidate)
{
    const MatrixShape shape = matrixShape(layer.shape);
    return payloadBits(candidate.weights, shape.rows, shape.cols, info(layer.dtype).bitsPerElement());
}

std::int64_t weightsOf(const Model& model, std::span<const std::int64_t> layers)
{
    std::int64_t weights = 0;
    for (const std::int64_t layer : layers)
        weights += model.layers[static_cast<std::size_t>(layer)].numel();
    return weights;
}

double bitsPerWeight(const Model& model, const Plan& plan)
{
    return bitsPerWeight(model, plan, model.quantizableLayers());
}

double bitsPerWeight(const Model& model, const Plan& plan, std::span<const std::int64_t> layers)
{
    std::int64_t bits = 0;
    const std::int64_t weights = weightsOf(model, layers);
    for (const std::int64_t layer : layers) {
        const auto index = static_cast<std::size_t>(layer);
        bits += layerPayloadBits(model.layers[index], plan.candidates[index]);
    }
    return weights > 0 ? static_cast<double>(bits) / static_cast<double>(weights) : 0;
}

} // namespace ql
