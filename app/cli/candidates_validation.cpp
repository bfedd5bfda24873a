// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/candidates_validation.h"

#include "core/realize/planned_version.h"

#include <nlohmann/json.hpp>

namespace ql::cli {

namespace {

/// The candidate on every layer; where XᵀX is not known and its quantizer needs it, the same scheme by least squared
/// error. Counts those layers. Additions that need inputs are chosen without where there are none.
Result<Plan> planOf(const Model& model, const Candidate& candidate, const Activations* activations,
                    std::int64_t& withoutInputs, const JobContext& context)
{
    Plan plan = uniformPlan(model, candidate);
    withoutInputs = 0;
    if (candidate.weights.isKeep() || candidate.weights.isCast() || !activations)
        return plan;
    QL_TRY(quantizer, findQuantizer(candidate.quantizer.id));
    const Additions& additions = candidate.weights.additions;
    if (quantizer->needs != InputNeeds::gram && !additions.needInputs())
        return plan;
    for (const std::int64_t layer : model.quantizableLayers()) {
        QL_TRY(inputs, activations->statistics(layer, context));
        Candidate& its = plan.candidates[static_cast<std::size_t>(layer)];
        its.weights.additions.scaledRank = additions.scaledRank && inputs && !inputs->isEmpty();
        its.weights.additions.columnsOver = inputs && !inputs->channelMin.empty() ? additions.columnsOver : 0;
        if (quantizer->needs != InputNeeds::gram || (inputs && inputs->knowsGram()))
            continue;
        its.quantizer = {.id = "mse", .option = {}, .values = {}};
        ++withoutInputs;
    }
    return plan;
}

} // namespace

Result<nlohmann::ordered_json> validateCandidates(Console& console, const Model& model,
                                                  const std::vector<Candidate>& candidates,
                                                  const Activations* activations, EvaluationTask task)
{
    auto rows = nlohmann::ordered_json::array();
    for (const Candidate& candidate : candidates) {
        console.status("running " + printCandidate(candidate));
        std::int64_t withoutInputs = 0;
        QL_TRY(plan, planOf(model, candidate, activations, withoutInputs, console.context()));
        const VersionSettings settings{.plan = &plan, .activations = activations};
        QL_TRY(version, plannedVersion(model, settings, console.context()));
        task.other = &version;
        QL_TRY(scores, evaluate(task, console.context()));
        const ComparisonScore score = comparisonOf(scores, task.windows.count());
        rows.push_back({{"candidate", printCandidate(candidate)},
                        {"bits_per_weight", bitsPerWeight(model, plan)},
                        {"perplexity", numberOrNull(score.perplexity.value)},
                        {"kld", numberOrNull(score.kld.value)},
                        {"kld_token_error", numberOrNull(score.kld.tokenError)},
                        {"kld_window_error", numberOrNull(score.kld.windowError)},
                        {"same_top", numberOrNull(score.sameTop.value)},
                        {"layers_by_mse", withoutInputs}});
    }
    return rows;
}

} // namespace ql::cli
