// SPDX-License-Identifier: GPL-3.0-or-later
// From a cost table to a plan: the problem a solver gets, respecting locks, pins and ties, and the plan it returns.
#pragma once

#include "core/allocation/solver.h"
#include "core/plan/cost_table.h"

namespace ql {

struct BalanceRequest {
    const CostTable* table = nullptr;
    Plan start; // locked layers keep their candidate
    const TargetProfile* target = nullptr;
    std::optional<std::int64_t> fileBytes; // budget: exact bytes of the target's files …
    std::optional<double> bitsPerWeight;   // … or bits per weight of the plan's layers
    std::string solver = "exact";
};

struct BalanceResult {
    Plan plan;
    Allocation allocation;
    double predictedLoss = 0;
    double bitsPerWeight = 0;
    std::int64_t fileBytes = 0; // 0 without a target
    double milliseconds = 0;    // of the solver alone
};

/// Solves. With a file budget the non-payload bytes of the target are counted exactly: the result's files never exceed
/// it.
Result<BalanceResult> balance(const Model& model, const BalanceRequest& request, const JobContext& context);

} // namespace ql
