// SPDX-License-Identifier: GPL-3.0-or-later
// The plans that no other beats: for a row of budgets the one with the least predicted loss. What is locked stays.
#pragma once

#include "core/allocation/balance.h"

namespace ql::views {

struct FrontPlan {
    std::shared_ptr<const Plan> plan;
    std::int64_t fileBytes = 0; // of the target's files; 0 without a target
    double bitsPerWeight = 0;
    double loss = 0;
    bool optimal = false;   // proven
    double shadowPrice = 0; // loss that one more bit of payload saves
};

struct PlanFront {
    std::vector<FrontPlan> plans; // by rising bits and falling loss, all different
    double milliseconds = 0;      // the solver's
};

/// For about so many budgets between the smallest plan and the one of least loss; `request` names table, start and
/// target, its own budget is not looked at. Nothing to decide: no plans.
Result<PlanFront> planFront(const Model& model, const BalanceRequest& request, int budgets, const JobContext& context);

} // namespace ql::views
