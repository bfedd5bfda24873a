// SPDX-License-Identifier: GPL-3.0-or-later
// A target as awkward as a real one: it fuses q, k and v, fills in scales, refuses some candidates, pads tensors, and
// its header repeats the plan as text of varying length.
#pragma once

#include "core/base/checked.h"
#include "core/plan/target.h"

namespace ql::test {

inline Result<void> fusedAcceptsModel(const Model&)
{
    return {};
}
inline Result<void> fusedAccepts(const Model&, const Layer& layer, const Candidate& candidate)
{
    if (layer.op == Operator::embedding && candidate.weights.element->bits < 8 && !candidate.weights.isKeep())
        return refused("an embedding takes 8 bits or more; use int8:channel", layer.name);
    if (candidate.weights.groupSize > 0 && layer.shape.back() % candidate.weights.groupSize != 0)
        return refused("the group does not divide the row", layer.name);
    return {};
}
inline Candidate fusedComplete(const Model&, const Layer&, const Candidate& candidate)
{
    Candidate completed = candidate;
    const Scheme& scheme = completed.weights;
    if (!scheme.isKeep() && !scheme.isCast() && !scheme.scaleGiven)
        completed.weights = parseScheme(printScheme(scheme) + ":s=f16").value();
    return completed;
}
inline std::vector<Candidate> fusedMenu(const Model&, const Layer&)
{
    return parseCandidates("int4:g32 int8:g32 f16").value();
}
inline std::vector<Tie> fusedTies(const Model& model)
{
    std::vector<Tie> ties;
    for (std::int64_t block = 0; block < model.blockCount; ++block) {
        Tie tie{.layers = {}, .reason = "q, k and v are one product"};
        for (std::size_t i = 0; i < model.layers.size(); ++i)
            if (const std::string& role = model.layers[i].role;
                model.layers[i].block == block && (role == "q_proj" || role == "k_proj" || role == "v_proj"))
                tie.layers.push_back(static_cast<std::int64_t>(i));
        ties.push_back(std::move(tie));
    }
    return ties;
}
inline Dtype fusedRestoreDtype(const Model&, const Layer&)
{
    return Dtype::f32;
}
inline Result<std::int64_t> fusedFileBytes(const Model& model, const Plan& plan)
{
    auto bytes = static_cast<std::int64_t>(printPlan(plan, model).size());
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
        const Layer& layer = model.layers[i];
        const std::int64_t bits = layer.quantizable ? layerPayloadBits(layer, plan.candidates[i]) : layer.numel() * 32;
        bytes = roundUp(bytes, 37) + ceilDiv(bits, 8) + std::ssize(std::to_string(bytes));
    }
    return roundUp(bytes, 64);
}

inline const TargetProfile kFusedTarget{.id = "fused",
                                        .title = "Fused",
                                        .loadedBy = "tests",
                                        .source = "",
                                        .acceptsModel = fusedAcceptsModel,
                                        .accepts = fusedAccepts,
                                        .complete = fusedComplete,
                                        .menu = fusedMenu,
                                        .ties = fusedTies,
                                        .restoreDtype = fusedRestoreDtype,
                                        .fileBytes = fusedFileBytes};

} // namespace ql::test
