// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/tied_table.h"

#include "core/plan/merged_sets.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

void addCost(Cost& sum, const Cost& cost)
{
    sum.loss += cost.loss; // NaN stays
    sum.payloadBits += cost.payloadBits;
    sum.evidence = std::min(sum.evidence, cost.evidence);
    sum.allowed = sum.allowed && cost.allowed;
    sum.standardError = std::hypot(sum.standardError, cost.standardError);
}

} // namespace

CostTable tieItems(const Model& model, const CostTable& table, std::span<const Tie> ties)
{
    std::vector<std::size_t> itemOfLayer(model.layers.size(), table.items.size());
    for (std::size_t i = 0; i < table.items.size(); ++i)
        for (const std::int64_t layer : table.items[i].layers)
            itemOfLayer[static_cast<std::size_t>(layer)] = i;
    MergedSets sets(table.items.size());
    for (const Tie& tie : ties) {
        std::size_t first = table.items.size();
        for (const std::int64_t layer : tie.layers) {
            const std::size_t item = itemOfLayer[static_cast<std::size_t>(layer)];
            if (item == table.items.size())
                continue; // not quantized by any plan
            if (first == table.items.size())
                first = item;
            sets.merge(first, item);
        }
    }
    CostTable tied{.metric = table.metric,
                   .unit = table.unit,
                   .items = {},
                   .candidates = table.candidates,
                   .costs = {},
                   .completed = {}};
    const std::size_t columns = table.candidates.size();
    std::vector<std::size_t> place(table.items.size());
    for (std::size_t i = 0; i < table.items.size(); ++i) {
        const std::size_t set = sets.find(i);
        if (set == i) {
            place[i] = tied.items.size();
            tied.items.push_back(table.items[i]);
            for (std::size_t c = 0; c < columns; ++c) {
                tied.costs.push_back(table.at(i, c));
                if (!table.completed.empty())
                    tied.completed.push_back(table.candidateOf(i, c));
            }
            continue;
        }
        std::vector<std::int64_t>& layers = tied.items[place[set]].layers;
        layers.insert(layers.end(), table.items[i].layers.begin(), table.items[i].layers.end());
        for (std::size_t c = 0; c < columns; ++c)
            addCost(tied.at(place[set], c), table.at(i, c));
    }
    for (Item& item : tied.items) {
        std::ranges::sort(item.layers);
        item.name = itemName(model, item.layers);
    }
    return tied;
}

Result<void> allowOnly(CostTable& table, std::span<const std::int64_t> layers, std::span<const Candidate> candidates)
{
    for (const Candidate& candidate : candidates)
        if (std::ranges::find(table.candidates, candidate) == table.candidates.end())
            return usageError("is none of the candidates; add it to them", printCandidate(candidate));
    for (std::size_t i = 0; i < table.items.size(); ++i) {
        const Item& item = table.items[i];
        if (std::ranges::none_of(item.layers,
                                 [&](std::int64_t layer) { return std::ranges::find(layers, layer) != layers.end(); }))
            continue;
        bool hasAny = false;
        for (std::size_t c = 0; c < table.candidates.size(); ++c) {
            Cost& cost = table.at(i, c);
            cost.allowed = cost.allowed && std::ranges::find(candidates, table.candidates[c]) != candidates.end();
            hasAny = hasAny || cost.allowed;
        }
        if (!hasAny)
            return usageError("can take none of the candidates allowed for it", item.name);
    }
    return {};
}

} // namespace ql
