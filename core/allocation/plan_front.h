// SPDX-License-Identifier: GPL-3.0-or-later
// The front of plans for a cost table: size against predicted loss.
#pragma once

#include "core/allocation/balance.h"
#include "core/allocation/pareto.h"
#include "core/allocation/plan_problem.h"

namespace ql {

/// Sizes of points and hull are bytes of the target's files (as countFileBytes has them), or payload bits of the layers
/// in the plan where there is no target; losses and bounds include those of items that are not free, and couplings.
/// With memory of two devices a point's way is the number of blocks on the second one. With couplings there is no hull.
struct PlanFront {
    PlanProblem problem;
    Front front;
    bool inBytes = false;
    std::int64_t weights = 0;         // of the layers in the plan: bits ÷ weights are bits per weight
    std::size_t couplingsLeftOut = 0; // pairs of items that bounds do not see whole (joint_front.h)
};

/// The request's budgets are not looked at; its constraints, ties and locks are: a limit of the loss ends the front.
/// Errors: as of balance and paretoFront.
Result<PlanFront> planFront(const Model& model, const BalanceRequest& request, const FrontSettings& settings,
                            const JobContext& context);

} // namespace ql
