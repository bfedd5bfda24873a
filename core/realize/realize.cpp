// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/realize.h"

#include "core/formats/row_factors.h"
#include "core/model/fused_layers.h"
#include "core/quantizers/unit_quantizer.h"
#include "core/realize/changed_tensors.h"

namespace ql {

namespace {
Error inLayer(Error error, const Layer& layer)
{
    if (error.where.empty())
        error.where = layer.name;
    return error;
}
} // namespace

Result<float> sharedAbsMax(const Model& model, std::int64_t layer, const Candidate& candidate,
                           const JobContext& context)
{
    float largest = 0;
    if (candidate.weights.scale != ScaleCoding::ue4m3)
        return largest;
    for (const std::int64_t other : fusedWith(model, layer)) {
        QL_TRY(weights, model.loadWeights(other, context));
        QL_TRY(range, rangeOfTensor(weights.view, context));
        largest = std::max(largest, range.absMax);
    }
    return largest;
}

Result<QuantizedTensor> realize(const Model& model, std::int64_t layer, const Candidate& candidate,
                                const Activations* activations, const JobContext& context)
{
    auto codes = realizeUnscaled(model, layer, candidate, activations, context);
    if (!codes || rowFactorsOf(model, layer).empty())
        return codes;
    return scaledRows(model, layer, *codes, context);
}

Result<QuantizedTensor> scaledRows(const Model& model, std::int64_t layer, const QuantizedTensor& codes,
                                   const JobContext& context)
{
    auto scaled = withRowFactors(codes, rowFactorsOf(model, layer), context);
    if (!scaled)
        return inLayer(scaled.error(), model.layers[static_cast<std::size_t>(layer)]);
    return scaled;
}

Result<QuantizedTensor> realizeUnscaled(const Model& model, std::int64_t layer, const Candidate& candidate,
                                        const Activations* activations, const JobContext& context)
{
    const Layer& described = model.layers[static_cast<std::size_t>(layer)];
    std::shared_ptr<const ActivationStatistics> statistics;
    if (activations && !candidate.weights.isCast() && !candidate.weights.isKeep()) {
        QL_TRY(quantizer, findQuantizer(candidate.quantizer.id));
        if (quantizer->needs != InputNeeds::nothing || candidate.weights.additions.useInputs()) {
            QL_TRY(found, activations->statistics(layer, context));
            statistics = std::move(found);
        }
    }
    QL_TRY(weights, model.loadWeights(layer, context));
    QL_TRY(shared, sharedAbsMax(model, layer, candidate, context));
    auto quantized = realize(weights.view, candidate, statistics.get(), context, nullptr, shared);
    QL_CHECK(model.checkpoint->checkIntact());
    if (!quantized)
        return inLayer(quantized.error(), described);
    return quantized;
}

Result<QuantizedTensor> realize(const TensorView& weights, const Candidate& candidate,
                                const ActivationStatistics* activations, const JobContext& context,
                                QuantizerReport* report, float sharedAbsMax)
{
    if (candidate.weights.isKeep())
        return usageError("keep leaves the stored form as it is and has no codes; choose a scheme, e.g. int8:channel");
    QuantizeTask task{.weights = weights,
                      .scheme = candidate.weights,
                      .spec = candidate.quantizer,
                      .report = report,
                      .sharedAbsMax = sharedAbsMax};
    if (!candidate.weights.isCast()) {
        QL_TRY(quantizer, findQuantizer(candidate.quantizer.id));
        const std::int64_t cols = matrixShape(weights.shape).cols;
        if (activations && activations->in == cols && !activations->isEmpty())
            task.inputs = activations;
        if (candidate.weights.additions.needInputs() && !task.inputs)
            return refused("the addition " + printAdditions(candidate.weights.additions) +
                           " needs captured activations of this layer; give them, or leave what follows its colon out");
        if (quantizer->needs == InputNeeds::gram && task.inputs && !task.inputs->knowsGram())
            return refused("the quantizer " + std::string(quantizer->id) +
                           " needs all of XᵀX, and of this layer only its diagonal is known; calibrate with --gram "
                           "full, or choose another, e.g. @mse");
        if (quantizer->needs >= InputNeeds::diagonal && !task.inputs)
            return refused("the quantizer " + std::string(quantizer->id) +
                           " needs captured activations of this layer; give them, or choose another, e.g. @mse");
    }
    return quantize(task, context);
}

} // namespace ql
