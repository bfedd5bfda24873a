// SPDX-License-Identifier: GPL-3.0-or-later
// The best plan that gives every layer the same candidate: what a mixed plan is compared with.
#pragma once

#include "core/allocation/balance.h"

namespace ql {

struct UniformPlan {
    std::size_t column = 0; // of the table
    Plan plan;
    double predictedLoss = 0;
};

/// Of the columns that every free item (see free_items.h) of the layers a plan decides may take and whose plan the
/// target admits, within the request's limits, the one with the least predicted loss, or under a limit of the loss with
/// the least bits; nothing if none fits. What is not free stays as in `balanced`, which balance() made for the request.
std::optional<UniformPlan> bestUniform(const Model& model, const BalanceRequest& request,
                                       const BalanceResult& balanced);

} // namespace ql
