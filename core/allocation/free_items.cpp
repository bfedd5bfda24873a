// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/free_items.h"

#include <algorithm>
#include <cmath>

namespace ql {

std::vector<FreeItem> freeItems(const CostTable& table, const Plan& plan)
{
    std::vector<FreeItem> found;
    for (std::size_t i = 0; i < table.items.size(); ++i) {
        const auto isLocked = [&](std::int64_t layer) { return plan.locked[static_cast<std::size_t>(layer)]; };
        if (std::ranges::any_of(table.items[i].layers, isLocked))
            continue;
        FreeItem free{.item = i, .columns = {}};
        for (std::size_t c = 0; c < table.candidates.size(); ++c)
            if (table.at(i, c).allowed && std::isfinite(table.at(i, c).loss))
                free.columns.push_back(c);
        if (!free.columns.empty())
            found.push_back(std::move(free));
    }
    return found;
}

void assignColumn(const Model& model, const CostTable& table, const TargetProfile* target, std::size_t item,
                  std::size_t column, Plan& plan)
{
    const Candidate& candidate = table.candidates[column];
    for (const std::int64_t layer : table.items[item].layers) {
        const auto index = static_cast<std::size_t>(layer);
        plan.candidates[index] = target ? target->complete(model, model.layers[index], candidate) : candidate;
    }
}

} // namespace ql
