// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/cost_table.h"

#include "core/plan/merged_sets.h"
#include "core/plan/plan_totals.h"

#include <algorithm>
#include <array>
#include <limits>

namespace ql {

std::string_view word(Evidence evidence)
{
    constexpr std::array<std::string_view, 6> kWords{"not measured", "data-free", "statistics",
                                                     "gradients",    "probed",    "measured"};
    return kWords[static_cast<std::size_t>(evidence)];
}

std::string itemName(const Model& model, const std::vector<std::int64_t>& layers)
{
    const Layer& first = model.layers[static_cast<std::size_t>(layers.front())];
    if (layers.size() == 1)
        return first.name;
    std::string name;
    for (const std::int64_t index : layers) {
        const Layer& layer = model.layers[static_cast<std::size_t>(index)];
        if (layer.role.empty() || layer.block != first.block)
            return first.name + " and " + std::to_string(layers.size() - 1) + " tied";
        name += (name.empty() ? "" : "+") + layer.role;
    }
    return first.block < 0 ? name : name + " " + std::to_string(first.block);
}

std::vector<Item> makeItems(const Model& model, const TargetProfile* target)
{
    MergedSets groups(model.layers.size());
    for (const Tie& tie : target ? target->ties(model) : std::vector<Tie>()) {
        std::optional<std::size_t> first;
        for (const std::int64_t index : tie.layers) {
            const auto layer = static_cast<std::size_t>(index);
            if (model.layers[layer].quantizable)
                groups.merge(first.value_or(layer), layer);
            if (model.layers[layer].quantizable && !first)
                first = layer;
        }
    }
    std::vector<Item> items;
    std::vector<std::size_t> itemOfGroup(model.layers.size());
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
        if (!model.layers[i].quantizable)
            continue;
        const std::size_t group = groups.find(i);
        if (group == i) {
            itemOfGroup[i] = items.size();
            items.emplace_back();
        }
        items[itemOfGroup[group]].layers.push_back(static_cast<std::int64_t>(i));
    }
    for (Item& item : items)
        item.name = itemName(model, item.layers);
    return items;
}

std::optional<std::size_t> CostTable::columnOf(std::size_t item, const Candidate& candidate) const
{
    for (std::size_t c = 0; c < candidates.size(); ++c)
        if (candidateOf(item, c) == candidate)
            return c;
    const auto given = std::find(candidates.begin(), candidates.end(), candidate);
    if (given == candidates.end())
        return std::nullopt;
    return static_cast<std::size_t>(given - candidates.begin());
}

double predictLoss(const CostTable& table, const Plan& plan)
{
    std::vector<double> losses(table.items.size());
    std::vector<bool> covered(plan.candidates.size(), false);
    for (std::size_t i = 0; i < table.items.size(); ++i) {
        losses[i] = plannedLoss(table, i, plan);
        for (const std::int64_t layer : table.items[i].layers)
            covered[static_cast<std::size_t>(layer)] = true;
    }
    for (std::size_t layer = 0; layer < covered.size(); ++layer)
        if (!covered[layer] && !plan.candidates[layer].weights.isKeep())
            return std::numeric_limits<double>::quiet_NaN();
    return SumTree(losses).total();
}

double plannedLoss(const CostTable& table, std::size_t item, const Plan& plan)
{
    const std::vector<std::int64_t>& layers = table.items[item].layers;
    const auto candidateAt = [&](std::int64_t layer) -> const Candidate& {
        return plan.candidates[static_cast<std::size_t>(layer)];
    };
    const Candidate& candidate = candidateAt(layers.front());
    const auto column = table.columnOf(item, candidate);
    const bool together = std::all_of(layers.begin(), layers.end(), [&](std::int64_t layer) {
        return candidateAt(layer) == candidate || (column && table.columnOf(item, candidateAt(layer)) == column);
    });
    if (!together)
        return std::numeric_limits<double>::quiet_NaN();
    if (!column)
        return candidate.weights.isKeep() ? 0 : std::numeric_limits<double>::quiet_NaN();
    return table.at(item, *column).loss;
}

} // namespace ql
