// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/runs_in.h"

#include <algorithm>

namespace ql {

namespace {

Candidate plain(const Scheme& scheme)
{
    return {.weights = scheme, .activations = {}, .quantizer = {}};
}

/// What the target makes of the candidate, or nothing if it does not take it.
std::optional<Candidate> taken(const TargetProfile& target, const Model& model, const Layer& layer,
                               const Candidate& candidate)
{
    Candidate completed = target.complete(model, layer, candidate);
    if (target.accepts(model, layer, completed))
        return completed;
    return std::nullopt;
}

} // namespace

std::vector<const TargetProfile*> runsIn(const Model& model, const Layer& layer, const Candidate& candidate,
                                         std::span<const TargetProfile* const> targets)
{
    std::vector<const TargetProfile*> found;
    for (const TargetProfile* target : targets)
        if (target->acceptsModel(model) && taken(*target, model, layer, candidate))
            found.push_back(target);
    return found;
}

std::string SchemeGroup::title() const
{
    const std::string id(target->id);
    return target->onlyStores ? "research (stored in " + id + " only)" : "runs in " + id;
}

std::vector<SchemeGroup> schemeGroups(const Model& model, const Layer& layer,
                                      std::span<const TargetProfile* const> targets, std::span<const Scheme> also)
{
    std::vector<SchemeGroup> groups;
    std::vector<const TargetProfile*> earlier;
    for (const TargetProfile* target : targets) {
        if (!target->acceptsModel(model))
            continue;
        SchemeGroup group{.target = target, .schemes = {}};
        const auto offer = [&](const Scheme& scheme) {
            const auto takes = [&](const TargetProfile* other) {
                return taken(*other, model, layer, plain(scheme)).has_value();
            };
            if (scheme.isKeep() || std::ranges::any_of(earlier, takes))
                return;
            const auto candidate = taken(*target, model, layer, plain(scheme));
            if (candidate && std::ranges::find(group.schemes, candidate->weights) == group.schemes.end())
                group.schemes.push_back(candidate->weights);
        };
        for (const Candidate& candidate : target->menu(model, layer))
            offer(candidate.weights);
        for (const Scheme& scheme : also)
            offer(scheme);
        for (const std::string& text : exampleSchemes())
            if (const auto scheme = parseScheme(text))
                offer(*scheme);
        earlier.push_back(target);
        if (!group.schemes.empty())
            groups.push_back(std::move(group));
    }
    return groups;
}

Scheme asGrouped(const Model& model, const Layer& layer, const Scheme& scheme,
                 std::span<const TargetProfile* const> targets)
{
    for (const TargetProfile* target : targets)
        if (target->acceptsModel(model))
            if (const auto candidate = taken(*target, model, layer, plain(scheme)))
                return candidate->weights;
    return scheme;
}

} // namespace ql
