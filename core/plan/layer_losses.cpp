// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/layer_losses.h"

#include "core/base/hash.h"
#include "core/base/sum.h"
#include "core/base/text.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace ql {

namespace {

using Key = std::pair<std::int64_t, std::string>;

Key keyOf(const LayerLoss& cell)
{
    return {cell.layer, printCandidate(cell.candidate)};
}

/// The cells by layer and candidate.
std::map<Key, const LayerLoss*> indexed(const LayerLosses& losses)
{
    std::map<Key, const LayerLoss*> index;
    for (const LayerLoss& cell : losses.cells)
        index[keyOf(cell)] = &cell;
    return index;
}

std::string keyOf(const LayerCoupling& coupling)
{
    std::string key;
    for (std::size_t side = 0; side < 2; ++side)
        key += std::to_string(coupling.layers[side]) + " " + printCandidate(coupling.candidates[side]) + "\n";
    return key;
}

/// Of both; the one with the smaller standard error where both know it.
std::vector<LayerCoupling> mergedCouplings(std::vector<LayerCoupling> couplings, const std::vector<LayerCoupling>& more)
{
    std::map<std::string, std::size_t> known;
    for (std::size_t i = 0; i < couplings.size(); ++i)
        known.emplace(keyOf(couplings[i]), i);
    for (const LayerCoupling& other : more) {
        const auto [at, isNew] = known.try_emplace(keyOf(other), couplings.size());
        if (isNew)
            couplings.push_back(other);
        else if (other.standardError < couplings[at->second].standardError)
            couplings[at->second] = other;
    }
    return couplings;
}

} // namespace

bool tellsMore(const LayerLoss& a, const LayerLoss& b)
{
    return a.evidence != b.evidence ? a.evidence > b.evidence : a.standardError < b.standardError;
}

Result<LayerLosses> merged(LayerLosses losses, const LayerLosses& more)
{
    if (losses.activations != more.activations)
        return refused("tables of losses were measured with different activations, so their codes differ; measure "
                       "both with the same --activations");
    if (losses.runtime != more.runtime)
        return refused(
            "tables of losses count the rounding of activations by different runtimes; measure both with the "
            "same --as");
    const auto added = indexed(more);
    for (LayerLoss& cell : losses.cells)
        if (const auto other = added.find(keyOf(cell)); other != added.end() && tellsMore(*other->second, cell))
            cell = *other->second;
    const auto known = indexed(losses);
    std::vector<LayerLoss> others;
    for (const LayerLoss& cell : more.cells)
        if (!known.contains(keyOf(cell)))
            others.push_back(cell);
    losses.cells.insert(losses.cells.end(), others.begin(), others.end());
    for (const Candidate& candidate : more.candidates)
        if (std::ranges::find(losses.candidates, candidate) == losses.candidates.end())
            losses.candidates.push_back(candidate);
    losses.couplings = mergedCouplings(std::move(losses.couplings), more.couplings);
    return losses;
}

bool isPlanned(const LayerCoupling& coupling, const Plan& plan)
{
    return plan.candidates[static_cast<std::size_t>(coupling.layers[0])] == coupling.candidates[0] &&
           plan.candidates[static_cast<std::size_t>(coupling.layers[1])] == coupling.candidates[1];
}

double plannedCoupling(std::span<const LayerCoupling> couplings, const Plan& plan)
{
    CompensatedSum sum;
    for (const LayerCoupling& coupling : couplings)
        if (isPlanned(coupling, plan))
            sum.add(coupling.loss);
    return sum.value();
}

CostTable makeCostTable(const Model& model, const LayerLosses& losses, std::span<const Candidate> candidates,
                        const TargetProfile* target)
{
    CostTable table{.metric = losses.metric,
                    .unit = "nats per token",
                    .items = makeItems(model, target),
                    .candidates = {candidates.begin(), candidates.end()},
                    .costs = {},
                    .completed = {}};
    const auto index = indexed(losses);
    for (const Item& item : table.items)
        for (const Candidate& candidate : candidates) {
            Cost cost{.loss = 0, .payloadBits = 0, .evidence = Evidence::measured, .allowed = true, .standardError = 0};
            double variance = 0;
            for (const std::int64_t number : item.layers) {
                const Layer& layer = model.layers[static_cast<std::size_t>(number)];
                const Candidate its = target ? target->complete(model, layer, candidate) : candidate;
                cost.allowed = cost.allowed && (!target || target->accepts(model, layer, its));
                cost.payloadBits += layerPayloadBits(layer, its);
                if (target && number == item.layers.front())
                    table.completed.push_back(its);
                if (its.weights.isKeep())
                    continue;
                auto found = index.find({number, printCandidate(its)});
                if (found == index.end())
                    found = index.find({number, printCandidate(candidate)});
                if (found == index.end()) {
                    cost.loss = std::numeric_limits<double>::quiet_NaN();
                    continue;
                }
                cost.loss += found->second->loss;
                variance += found->second->standardError * found->second->standardError;
                cost.evidence = std::min(cost.evidence, found->second->evidence);
            }
            if (!cost.allowed)
                cost.loss = std::numeric_limits<double>::quiet_NaN();
            cost.standardError = std::sqrt(variance);
            if (std::isnan(cost.loss))
                cost.evidence = Evidence::unmeasured;
            table.costs.push_back(cost);
        }
    return table;
}

std::string lossesName(const std::vector<std::string>& files, LayerLosses losses, const Model& model)
{
    const auto byKey = [](const auto& each) { return keyOf(each); };
    losses.metric.clear();
    losses.candidates.clear();
    std::ranges::sort(losses.cells, {}, byKey);
    std::ranges::sort(losses.couplings, {}, byKey);
    Hasher hasher;
    hasher.add(printLosses(losses, model));
    const std::string digits = hasher.hex().substr(0, 16);
    return files.empty() ? digits : join(files, ", ") + " " + digits;
}

} // namespace ql
