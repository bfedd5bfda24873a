// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/plan_inputs.h"

#include <algorithm>

namespace ql {

bool takesInputs(const Plan& plan)
{
    return std::ranges::any_of(plan.candidates, [](const Candidate& candidate) {
        if (candidate.weights.isKeep() || candidate.weights.isCast())
            return false;
        const auto quantizer = findQuantizer(candidate.quantizer.id);
        return quantizer && (*quantizer)->needs != InputNeeds::nothing;
    });
}

std::string inputsFingerprint(const Activations* activations)
{
    return activations ? activations->fingerprint().substr(0, kFingerprintDigits) : std::string();
}

void nameActivations(Plan& plan, const Activations* activations)
{
    nameActivations(plan, inputsFingerprint(activations));
}

void nameActivations(Plan& plan, const std::string& inputs)
{
    plan.activations = takesInputs(plan) ? inputs : std::string();
}

Result<void> checkActivations(const Plan& plan, const Activations* activations)
{
    const std::string given = inputsFingerprint(activations);
    if (given == plan.activations || !takesInputs(plan))
        return {};
    const auto named = [](const std::string& fingerprint) { return "fingerprint " + fingerprint.substr(0, 12) + "…"; };
    const std::string made = plan.activations.empty()
                                 ? "its quantizers looked at no activations"
                                 : "its quantizers looked at activations with the " + named(plan.activations);
    if (given.empty())
        return refused(made + ", and none are given: give those");
    const std::string file = activations->path().empty() ? "" : activations->path().string() + ", ";
    return refused(made + ", and " + (plan.activations.empty() ? "some" : "others") + " are given (" + file +
                   named(given) +
                   "): " + (plan.activations.empty() ? "leave them out" : "give those it was made with"));
}

} // namespace ql
