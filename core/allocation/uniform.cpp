// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/uniform.h"

#include "core/allocation/free_items.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

bool fitsBudget(const Model& model, const BalanceRequest& request, std::span<const std::int64_t> planLayers,
                const Plan& plan)
{
    if (request.bitsPerWeight)
        return bitsPerWeight(model, plan, planLayers) <= *request.bitsPerWeight;
    if (!request.fileBytes || !request.target)
        return false;
    const auto bytes = request.target->fileBytes(model, plan);
    return bytes && *bytes <= *request.fileBytes;
}

} // namespace

std::optional<UniformPlan> bestUniform(const Model& model, const BalanceRequest& request, const BalanceResult& balanced)
{
    const CostTable& table = *request.table;
    std::vector<FreeItem> free = freeItems(table, balanced.plan);
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
        const double loss = predictLoss(table, plan);
        if (std::isfinite(loss) && (!best || loss < best->predictedLoss) &&
            fitsBudget(model, request, balanced.planLayers, plan))
            best = UniformPlan{column, std::move(plan), loss};
    }
    return best;
}

} // namespace ql
