// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/candidates_validation.h"

#include "core/realize/planned_version.h"

#include <nlohmann/json.hpp>

namespace ql::cli {

Result<nlohmann::ordered_json> validateCandidates(Console& console, const Model& model,
                                                  const std::vector<Candidate>& candidates,
                                                  const Activations* activations, EvaluationTask task)
{
    auto rows = nlohmann::ordered_json::array();
    for (const Candidate& candidate : candidates) {
        console.status("running " + printCandidate(candidate));
        const Plan plan = uniformPlan(model, candidate);
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
                        {"same_top", numberOrNull(score.sameTop.value)}});
    }
    return rows;
}

} // namespace ql::cli
