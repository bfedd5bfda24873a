// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/candidates_validation.h"

#include "app/cli/study_options.h"
#include "core/realize/planned_version.h"

#include <nlohmann/json.hpp>

namespace ql::cli {

namespace {

constexpr std::int64_t kCodeBytes = std::int64_t{1} << 30;

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

/// Runs it.
Result<ComparisonScore> scoreOf(const Model& model, const VersionSettings& settings, EvaluationTask& task,
                                const JobContext& context)
{
    QL_TRY(version, plannedVersion(model, settings, context));
    task.other = &version;
    QL_TRY(scores, evaluate(task, context));
    return comparisonOf(scores, task.windows.count());
}

/// Adds what both kinds of rows tell.
void addFigures(nlohmann::ordered_json& row, double bitsPerWeight, const ComparisonScore& score)
{
    row["bits_per_weight"] = bitsPerWeight;
    row["perplexity"] = numberOrNull(score.perplexity.value);
    row["kld"] = numberOrNull(score.kld.value);
    row["kld_token_error"] = numberOrNull(score.kld.tokenError);
    row["kld_window_error"] = numberOrNull(score.kld.windowError);
    row["same_top"] = numberOrNull(score.sameTop.value);
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
        QL_TRY(score, scoreOf(model, settings, task, console.context()));
        nlohmann::ordered_json row{{"candidate", printCandidate(candidate)}};
        addFigures(row, bitsPerWeight(model, plan), score);
        row["layers_by_mse"] = withoutInputs;
        rows.push_back(std::move(row));
    }
    return rows;
}

Result<nlohmann::ordered_json> validatePlans(Console& console, const Model& model,
                                             const std::vector<std::string>& files, const Activations* activations,
                                             EvaluationTask task)
{
    std::vector<Plan> plans;
    for (const std::string& file : files) {
        QL_TRY(plan, readPlan(file, model));
        plans.push_back(std::move(plan));
    }
    ReferenceStates reference;
    task.reference = &reference;
    const auto codes = std::make_shared<CodeCache>(kCodeBytes);
    auto rows = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < plans.size(); ++i) {
        console.status("running " + files[i]);
        QL_TRY(target, targetOrNull(plans[i].target));
        const VersionSettings settings{.plan = &plans[i],
                                       .target = target ? &target->profile : nullptr,
                                       .activations = activations,
                                       .codes = codes};
        QL_TRY(score, scoreOf(model, settings, task, console.context()));
        nlohmann::ordered_json row{{"plan", files[i]}};
        addFigures(row, bitsPerWeight(model, plans[i]), score);
        row["kld_windows"] = score.windowKlds;
        rows.push_back(std::move(row));
    }
    return rows;
}

} // namespace ql::cli
