// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/target.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <set>

namespace ql {

namespace {
Result<void> checkTie(const Model& model, const Plan& plan, const Tie& tie)
{
    std::int64_t first = -1;
    for (const std::int64_t index : tie.layers) {
        const auto i = static_cast<std::size_t>(index);
        if (!model.layers[i].quantizable)
            continue;
        if (first < 0) {
            first = index;
            continue;
        }
        const Candidate& a = plan.candidates[static_cast<std::size_t>(first)];
        const Candidate& b = plan.candidates[i];
        if (!(a.weights == b.weights) || a.activations != b.activations)
            return refused("is " + printCandidate(b) + " but " + model.layers[static_cast<std::size_t>(first)].name +
                               " is " + printCandidate(a) + "; both must have the same scheme: " + tie.reason,
                           model.layers[i].name);
    }
    return {};
}
} // namespace

std::string layerKind(const Layer& layer)
{
    const auto dot = layer.name.find_last_of("./");
    return std::string(info(layer.op).id) + (layer.block < 0 ? " outside " : " ") + layer.role + " " +
           (dot == std::string::npos ? std::string() : layer.name.substr(dot)) + " " + formatShape(layer.shape) +
           std::string(info(layer.dtype).word) + formatShape(layer.stored.seenAs) + formatShape(layer.stored.axes);
}

std::vector<Candidate> usualMenu(const TargetProfile& target, const Model& model, const Layer& layer)
{
    return target.usual ? target.usual(model, layer) : target.menu(model, layer);
}

std::vector<Candidate> usualCandidates(const TargetProfile& target, const Model& model)
{
    std::vector<Candidate> all;
    std::set<std::string> kinds;
    for (const std::int64_t index : layersInPlan(model, &target)) {
        const Layer& layer = model.layers[static_cast<std::size_t>(index)];
        if (!kinds.insert(layerKind(layer)).second)
            continue;
        for (Candidate& candidate : usualMenu(target, model, layer))
            if (std::find(all.begin(), all.end(), candidate) == all.end())
                all.push_back(std::move(candidate));
    }
    return all;
}

std::vector<std::int64_t> layersInPlan(const Model& model, const TargetProfile* target)
{
    std::vector<std::int64_t> layers = model.quantizableLayers();
    if (!target)
        return layers;
    std::map<std::string, bool> onlyKept; // menus are alike for layers of one kind
    std::erase_if(layers, [&](std::int64_t index) {
        const Layer& layer = model.layers[static_cast<std::size_t>(index)];
        const std::string kind = layerKind(layer);
        auto known = onlyKept.find(kind);
        if (known == onlyKept.end()) {
            const auto menu = target->menu(model, layer);
            known =
                onlyKept
                    .emplace(kind, std::all_of(menu.begin(), menu.end(),
                                               [](const Candidate& candidate) { return candidate.weights.isKeep(); }))
                    .first;
        }
        return known->second;
    });
    return layers;
}

Result<Plan> admit(const TargetProfile& target, const Model& model, const Plan& plan)
{
    assert(plan.candidates.size() == model.layers.size());
    QL_CHECK(target.acceptsModel(model));
    Plan admitted = plan;
    admitted.target = target.id;
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
        if (!model.layers[i].quantizable)
            continue;
        admitted.candidates[i] = target.complete(model, model.layers[i], plan.candidates[i]);
        QL_CHECK(target.accepts(model, model.layers[i], admitted.candidates[i]));
    }
    for (const Tie& tie : target.ties(model))
        QL_CHECK(checkTie(model, admitted, tie));
    return admitted;
}

} // namespace ql
