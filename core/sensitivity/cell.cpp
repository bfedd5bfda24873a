// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/cell.h"

#include "core/analysis/statistics.h"
#include "core/calibration/layer_figures.h"
#include "core/formats/block_format.h"
#include "core/quantizers/hessian_quantizer.h"

namespace ql {

bool isKnown(const Activations* activations, MetricNeeds what, std::int64_t layer)
{
    if (what == MetricNeeds::nothing || !activations)
        return what == MetricNeeds::nothing;
    if (what == MetricNeeds::gram && activations->isDiagonal())
        return false;
    if (const std::string_view figure = figureFor(what); !figure.empty())
        return figureOf(activations, figure, layer).has_value();
    const auto layers = what == MetricNeeds::fisher || what == MetricNeeds::lossGram ? activations->fisherLayers()
                                                                                     : activations->layers();
    return std::ranges::find(layers, layer) != layers.end();
}

Result<Candidate> admitted(const Model& model, std::int64_t layer, const Candidate& candidate,
                           const TargetProfile* target, const Activations* activations)
{
    const Layer& its = model.layers[static_cast<std::size_t>(layer)];
    Candidate completed = target ? target->complete(model, its, candidate) : candidate;
    if (target)
        QL_CHECK(target->accepts(model, its, completed));
    if (completed.weights.isKeep() || completed.weights.isCast())
        return completed;
    QL_TRY(quantizer, findQuantizer(completed.quantizer.id));
    QL_CHECK(quantizer->accepts(completed.weights, completed.quantizer));
    QL_CHECK(checkWholeBlocks(completed.weights, its.shape));
    const auto knows = [&](MetricNeeds what) { return isKnown(activations, what, layer); };
    if ((quantizer->needs == InputNeeds::gram && !knows(MetricNeeds::gram)) ||
        (quantizer->needs == InputNeeds::diagonal && !knows(MetricNeeds::diagonal)))
        return refused("needs activations");
    if (needsLossGram(*quantizer, completed.quantizer) &&
        (!knows(MetricNeeds::lossGram) || !activations->knowsLossGrams()))
        return refused("needs what the loss feels of the inputs (calibrate --fisher)");
    if (needsOutputGram(*quantizer, completed.quantizer) && !(activations && activations->knowsOutputGram(layer)))
        return refused("needs the Gram matrix of the gradients of this layer's outputs (calibrate --output-gram)");
    if (completed.weights.additions.needInputs() && !knows(MetricNeeds::diagonal))
        return refused("needs activations");
    return completed;
}

Result<LayerKnowledge> knowledgeOf(const Activations* activations, std::int64_t layer,
                                   std::span<const Metric* const> metrics, std::span<const Candidate* const> candidates,
                                   const JobContext& context)
{
    const auto needs = [&](MetricNeeds what) {
        return std::ranges::any_of(metrics, [&](const Metric* metric) { return metric && metric->needs == what; });
    };
    const bool quantizerNeeds = std::ranges::any_of(candidates, [](const Candidate* candidate) {
        const auto quantizer = findQuantizer(candidate->quantizer.id);
        return (quantizer && (*quantizer)->needs != InputNeeds::nothing) || candidate->weights.additions.useInputs();
    });
    LayerKnowledge known;
    if ((needs(MetricNeeds::diagonal) || needs(MetricNeeds::gram) || needs(MetricNeeds::lossGram) || quantizerNeeds) &&
        isKnown(activations, MetricNeeds::diagonal, layer)) {
        QL_TRY(found, activations->statistics(layer, context));
        known.activations = std::move(found);
    }
    if ((needs(MetricNeeds::fisher) || needs(MetricNeeds::lossGram)) &&
        isKnown(activations, MetricNeeds::fisher, layer)) {
        QL_TRY(found, activations->fisher(layer, context));
        known.fisher = std::move(found);
    }
    return known;
}

Result<std::shared_ptr<const TensorStatistics>> LayerInput::statistics(const JobContext& context) const
{
    if (!computed) {
        QL_TRY(made, computeStatistics(weights, context));
        computed = std::make_shared<const TensorStatistics>(made);
    }
    return computed;
}

} // namespace ql
