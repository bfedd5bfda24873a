// SPDX-License-Identifier: GPL-3.0-or-later
// The plans that no other beats, as core/allocation/plan_front.h finds them, ready to be drawn and adopted: for a row
// of budgets the plan with the least predicted loss, and the convex hull of all plans.
#pragma once

#include "core/allocation/balance.h"

#include <memory>

namespace ql::views {

/// The first step that a little more size is best spent on.
struct FrontStep {
    std::int64_t layer = 0; // or the first of those tied
    Candidate from, to;
    std::int64_t addedSize = 0; // in the front's unit
    double savedLoss = 0;
};

struct FrontPlan {
    std::shared_ptr<const Plan> plan;
    std::int64_t fileBytes = 0; // of the target's files; 0 without a target
    double bitsPerWeight = 0;
    double loss = 0;
    double gap = 0;         // loss ÷ what is proven to be the least − 1
    double shadowPrice = 0; // loss that one more bit saves
    std::optional<FrontStep> next;
};

struct HullVertex {
    double size = 0; // bytes of the files, or bits per weight
    double loss = 0;
};

struct FrontPlans {
    std::vector<FrontPlan> plans; // by rising size and falling loss, all different
    std::vector<HullVertex> hull; // likewise; empty under limits beside the size
    bool inBytes = false;         // sizes; else bits of the payload
    double largestGap = 0;
};

/// For so many budgets between the smallest plan and the one of least loss; the request's own budget is not looked at,
/// its constraints are. Nothing to decide: no plans.
Result<FrontPlans> frontPlans(const Model& model, const BalanceRequest& request, std::size_t budgets,
                              const JobContext& context);

} // namespace ql::views
