// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/uniform.h"

#include "core/allocation/free_items.h"
#include "core/allocation/side_sums.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

bool fitsBudget(const Model& model, const BalanceRequest& request, std::span<const std::int64_t> planLayers,
                const Plan& plan)
{
    if (request.bitsPerWeight && !(bitsPerWeight(model, plan, planLayers) <= *request.bitsPerWeight))
        return false;
    if (!request.fileBytes)
        return true;
    if (!request.target)
        return false;
    const auto bytes = request.target->fileBytes(model, plan);
    return bytes && *bytes <= *request.fileBytes;
}

/// Whether the limits beside the size are kept if the items become the column and the others stay as balanced.
bool keepsSides(const CostTable& table, const std::vector<FreeItem>& all, const std::vector<FreeItem>& changed,
                std::size_t column, const BalanceResult& balanced)
{
    AllocationProblem problem{.offsets = {0}, .sizes = {}, .losses = {}, .budget = 0, .sides = balanced.sides};
    std::vector<std::size_t> choice;
    for (const FreeItem& item : all) {
        const bool changes =
            std::ranges::any_of(changed, [&](const FreeItem& other) { return other.item == item.item; });
        const auto place = std::ranges::find(item.columns, changes ? column : balanced.allocation.choice[item.item]);
        choice.push_back(static_cast<std::size_t>(place - item.columns.begin()));
        for (const std::size_t each : item.columns) {
            problem.sizes.push_back(0);
            problem.losses.push_back(table.at(item.item, each).loss);
        }
        problem.offsets.push_back(problem.sizes.size());
    }
    return allocation::keepsLimits(problem, choice);
}

} // namespace

std::optional<UniformPlan> bestUniform(const Model& model, const BalanceRequest& request, const BalanceResult& balanced)
{
    const CostTable& table = *request.table;
    const std::vector<FreeItem> all = freeItems(table, balanced.plan);
    std::vector<FreeItem> free = all;
    std::erase_if(free, [&](const FreeItem& item) { // what the target wants as it is stored
        return std::ranges::find(balanced.planLayers, table.items[item.item].layers.front()) ==
               balanced.planLayers.end();
    });
    std::optional<UniformPlan> best;
    for (std::size_t column = 0; !free.empty() && column < table.candidates.size(); ++column) {
        if (!std::ranges::all_of(free, [&](const FreeItem& item) {
                return std::ranges::find(item.columns, column) != item.columns.end();
            }))
            continue;
        Plan plan = balanced.plan;
        for (const FreeItem& item : free)
            assignColumn(model, table, request.target, item.item, column, plan);
        if (request.target) {
            auto admitted = admit(*request.target, model, plan);
            if (!admitted)
                continue;
            plan = std::move(admitted).value();
        }
        const double loss = predictLoss(table, plan) + plannedCoupling(request.couplings, plan);
        const std::optional<double>& mostLoss = request.constraints.loss;
        if (!std::isfinite(loss) || (mostLoss && !(loss <= *mostLoss)))
            continue;
        const auto isBetter = [&] {
            return mostLoss ? bitsPerWeight(model, plan, balanced.planLayers) <
                                  bitsPerWeight(model, best->plan, balanced.planLayers)
                            : loss < best->predictedLoss;
        };
        if ((!best || isBetter()) && fitsBudget(model, request, balanced.planLayers, plan) &&
            keepsSides(table, all, free, column, balanced))
            best = UniformPlan{column, std::move(plan), loss};
    }
    return best;
}

} // namespace ql
