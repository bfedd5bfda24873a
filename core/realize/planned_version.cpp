// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/planned_version.h"

#include "core/realize/activation_rounder.h"
#include "core/realize/plan_weights.h"

namespace ql {

namespace {

using Rounders = std::map<std::int64_t, ActivationRounder>; // by layer

Result<ActivationRounder> rounderOf(const Layer& layer, std::int64_t index, const ActivationScheme& scheme,
                                    const Activations* activations, const JobContext& context)
{
    if (layer.op == Operator::convolution)
        return refused("is a convolution, whose inputs are no rows of tokens; leave +a: out", layer.name);
    if (!scheme.isStatic)
        return ActivationRounder(scheme);
    std::shared_ptr<const ActivationStatistics> statistics;
    if (activations) {
        QL_TRY(found, activations->statistics(index, context));
        statistics = std::move(found);
    }
    if (!statistics || statistics->channelMin.empty())
        return refused("has the static activation scheme " + printActivationScheme(scheme) +
                           ", and no ranges of its inputs are known; give --activations of a calibrated study or of "
                           "captured X, or leave static out",
                       layer.name);
    return ActivationRounder(scheme, statistics->channelMin, statistics->channelMax);
}

Result<Rounders> roundersOf(const Model& model, const Plan& plan, const Activations* activations,
                            const JobContext& context)
{
    Rounders rounders;
    for (std::size_t i = 0; i < plan.candidates.size(); ++i) {
        const auto& scheme = plan.candidates[i].activations;
        if (!scheme)
            continue;
        const auto index = static_cast<std::int64_t>(i);
        QL_TRY(rounder, rounderOf(model.layers[i], index, *scheme, activations, context));
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
        version.weights = std::make_shared<PlanWeights>(model, *settings.plan, settings.target, settings.activations);
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
