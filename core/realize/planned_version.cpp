// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/planned_version.h"

#include "core/quantizers/kept_columns.h"
#include "core/realize/activation_rounder.h"
#include "core/realize/plan_weights.h"

namespace ql {

namespace {

using Rounders = std::map<std::int64_t, ActivationRounder>; // by layer

Result<ActivationRounder> rounderFor(const Layer& layer, const ActivationScheme& scheme,
                                     const ActivationStatistics* statistics, std::vector<std::int32_t> kept)
{
    if (layer.op == Operator::convolution)
        return refused("is a convolution, whose inputs are no rows of tokens; leave +a: out", layer.name);
    if (!scheme.isStatic) {
        ActivationRounder rounder(scheme);
        rounder.keepColumns(std::move(kept));
        return rounder;
    }
    if (!statistics || statistics->channelMin.empty())
        return refused("has the static activation scheme " + printActivationScheme(scheme) +
                           ", and no ranges of its inputs are known; give --activations of a calibrated study or of "
                           "captured X, or leave static out",
                       layer.name);
    std::vector<double> least = statistics->channelMin;
    std::vector<double> most = statistics->channelMax;
    for (const std::int32_t column : kept)
        least[static_cast<std::size_t>(column)] = most[static_cast<std::size_t>(column)] = 0;
    ActivationRounder rounder(scheme, least, most);
    rounder.keepColumns(std::move(kept));
    return rounder;
}

Result<ActivationRounder> rounderOf(const Model& model, std::int64_t index, const Candidate& candidate,
                                    const Activations* activations, const JobContext& context)
{
    const Layer& layer = model.layers[static_cast<std::size_t>(index)];
    const ActivationScheme& scheme = *candidate.activations;
    std::shared_ptr<const ActivationStatistics> statistics;
    if (activations && (scheme.isStatic || candidate.weights.additions.columns > 0)) {
        QL_TRY(found, activations->statistics(index, context));
        statistics = std::move(found);
    }
    std::vector<std::int32_t> kept;
    if (candidate.weights.additions.columns > 0) {
        QL_TRY(weights, model.loadWeights(index, context));
        const std::int64_t cols = matrixShape(weights.view.shape).cols;
        const bool fits = statistics && statistics->in == cols && !statistics->isEmpty(); // as realize() asks
        QL_TRY(columns,
               keptColumns(weights.view, candidate.weights.additions, fits ? statistics.get() : nullptr, context));
        kept = std::move(columns);
    }
    return rounderFor(layer, scheme, statistics.get(), std::move(kept));
}

Result<Rounders> roundersOf(const Model& model, const Plan& plan, const Activations* activations,
                            const JobContext& context)
{
    Rounders rounders;
    for (std::size_t i = 0; i < plan.candidates.size(); ++i) {
        if (!plan.candidates[i].activations)
            continue;
        const auto index = static_cast<std::int64_t>(i);
        QL_TRY(rounder, rounderOf(model, index, plan.candidates[i], activations, context));
        rounders.emplace(index, std::move(rounder));
    }
    return rounders;
}

graph::LayerInputHook<float> hook(std::shared_ptr<const Rounders> rounders, bool keepFirst, const JobContext& context)
{
    return [rounders = std::move(rounders), keepFirst, &context](const graph::Node&, std::int64_t layer,
                                                                 graph::Array<float>& input) {
        const auto found = rounders->find(layer);
        return found == rounders->end() ? Result<void>() : found->second.round(input, keepFirst, context);
    };
}

Result<graph::KeysValuesHook<float>> keysValuesHook(const ActivationScheme& scheme, const JobContext& context)
{
    if (scheme.byColumn || scheme.isStatic ||
        (scheme.scheme.granularity == Granularity::tensor && !scheme.scheme.isCast()))
        return refused("keys and values come token by token, so " + printActivationScheme(scheme) +
                       " has no scale for them; take a scale for each token or g<n>, e.g. int8:token, gguf:q8_0");
    return graph::KeysValuesHook<float>(
        [rounder = ActivationRounder(scheme), &context](const graph::Node&, graph::Array<float>& keys,
                                                        graph::Array<float>& values) -> Result<void> {
            QL_CHECK(rounder.round(keys, false, context));
            return rounder.round(values, false, context);
        });
}

} // namespace

Result<ModelVersion> plannedVersion(const Model& model, const VersionSettings& settings, const JobContext& context)
{
    ModelVersion version = ownVersion(model);
    if (settings.plan) {
        version.weights =
            std::make_shared<PlanWeights>(model, *settings.plan, settings.target, settings.activations, settings.codes);
        QL_TRY(rounders, roundersOf(model, *settings.plan, settings.activations, context));
        if (!rounders.empty() && settings.runtime)
            return refused("the plan has activation schemes, and " + std::string(settings.runtime->id) +
                           " rounds activations in its own way; leave one of them out");
        if (!rounders.empty()) {
            const auto shared = std::make_shared<const Rounders>(std::move(rounders));
            version.layerInput = hook(shared, settings.keepFirstToken, context);
            version.laterInput = hook(shared, false, context);
        }
    }
    if (settings.runtime)
        version.layerInput = version.laterInput = runtimeActivations(*settings.runtime, model, settings.plan, context);
    if (settings.keysValues) {
        QL_TRY(made, keysValuesHook(*settings.keysValues, context));
        version.keysValues = std::move(made);
    }
    return version;
}

} // namespace ql
