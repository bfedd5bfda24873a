// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/plan_changes.h"

#include "core/plan/plan_totals.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace ql {

std::string_view word(ChangeReason reason)
{
    constexpr std::array<std::string_view, 5> kWords{"locked", "saves more than the price of its bits",
                                                     "its bits save more elsewhere", "fills what was left",
                                                     "not measured"};
    return kWords[static_cast<std::size_t>(reason)];
}

std::vector<PlanChange> planChanges(const Model& model, const CostTable& table, const Plan& before, const Plan& after,
                                    double lossPerBit)
{
    std::vector<PlanChange> changes;
    for (std::size_t item = 0; item < table.items.size(); ++item) {
        bool differs = false;
        bool isLocked = false;
        std::int64_t bits = 0;
        for (const std::int64_t layer : table.items[item].layers) {
            const auto index = static_cast<std::size_t>(layer);
            differs = differs || !(before.candidates[index] == after.candidates[index]);
            isLocked = isLocked || after.locked[index];
            bits += layerPayloadBits(model.layers[index], after.candidates[index]) -
                    layerPayloadBits(model.layers[index], before.candidates[index]);
        }
        if (!differs)
            continue;
        const auto first = static_cast<std::size_t>(table.items[item].layers.front());
        const double loss = plannedLoss(table, item, after) - plannedLoss(table, item, before);
        const double price = lossPerBit * static_cast<double>(bits); // of what is added
        PlanChange change{.item = item,
                          .before = before.candidates[first],
                          .after = after.candidates[first],
                          .addedBits = bits,
                          .addedLoss = loss};
        if (isLocked)
            change.reason = ChangeReason::locked;
        else if (std::isnan(loss))
            change.reason = ChangeReason::unknown;
        else if (bits > 0)
            change.reason = -loss >= price * (1 - 1e-9) ? ChangeReason::gains : ChangeReason::fills;
        else
            change.reason = loss <= -price * (1 + 1e-9) ? ChangeReason::frees : ChangeReason::fills;
        changes.push_back(std::move(change));
    }
    std::ranges::stable_sort(changes, [](const PlanChange& a, const PlanChange& b) {
        if (std::isnan(a.addedLoss) || std::isnan(b.addedLoss))
            return std::isnan(b.addedLoss) && !std::isnan(a.addedLoss);
        return std::fabs(a.addedLoss) > std::fabs(b.addedLoss);
    });
    return changes;
}

} // namespace ql
