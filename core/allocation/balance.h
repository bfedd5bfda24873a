// SPDX-License-Identifier: GPL-3.0-or-later
// From a cost table to a plan: the problem a solver gets, respecting locks, pins and ties, and the plan it returns.
#pragma once

#include "core/allocation/plan_constraints.h"
#include "core/plan/layer_losses.h"

namespace ql {

struct BalanceRequest {
    const CostTable* table = nullptr;
    Plan start; // locked layers keep their candidate
    const TargetProfile* target = nullptr;
    std::vector<std::int64_t> planLayers;          // layersInPlan(model, target); empty: found anew
    std::optional<std::int64_t> fileBytes;         // budget: exact bytes of the target's files …
    std::optional<double> bitsPerWeight;           // … or bits per weight of the plan's layers, or both
    PlanConstraints constraints = {};              // further limits
    std::string solver = {};                       // empty: the first that honours the limits
    std::span<const LayerCoupling> couplings = {}; // added to the table's losses
};

struct BalanceResult {
    Plan plan;
    std::vector<std::int64_t> planLayers; // whose bits per weight are counted
    /// choice: the column of each of the table's items (the number of columns where it has none). Losses include those
    /// of locked items where known. Sizes, and the shadow price, are per payload bit, or per byte with a file budget.
    Allocation allocation;
    double predictedLoss = 0;
    double bitsPerWeight = 0;
    std::int64_t fileBytes = 0;                      // 0 without a target
    bool sizesAreBytes = false;                      // of allocation: bytes of the target's files; else payload bits
    double milliseconds = 0;                         // of the solver alone
    std::vector<SideConstraint> sides = {};          // the limits kept beside the size …
    std::vector<double> sideSums = {};               // … and what the plan adds up to, with what is fixed
    std::optional<std::int64_t> blocksOnSecond = {}; // with memory of two devices
    double coupling = 0;                             // part of the predicted loss
    std::size_t couplingsLeftOut = 0;                // pairs of items that the search did not see (joint_search.h)
};

/// Solves, jointly over blocks of coupled items where there are couplings. Locked layers keep their candidate (and give
/// it to layers tied to them), as do items of which no candidate was measured. With a file budget the bytes each choice
/// adds are counted by the target itself, once per kind of layer, and the result's files, counted anew, never exceed
/// the budget. With a limit of the loss the size is the least that keeps it: file bytes with a target, bits without
/// (the least that is found where couplings are left out: no proof).
/// With memory of two devices every split of the blocks is tried. Errors: usage (no limit at all; a file budget without
/// target; a limit that the solver does not honour), refused (what cannot fit: the error says how much would do; what
/// the target refuses).
Result<BalanceResult> balance(const Model& model, const BalanceRequest& request, const JobContext& context);

/// The problem of a request with its limits, for searches of other objectives than the table's sum. Sizes are payload
/// bits, or with a file budget bytes as countFileBytes() has them: what a plan's files miss of it by padding is for the
/// caller to count. Memory of two devices is split as balance() splits it for the sum. Errors: usage (no limit at all;
/// a limit of the loss), those of balance(), refused where even the smallest plan is larger.
Result<PlanProblem> problemOf(const Model& model, const BalanceRequest& request, const JobContext& context);

} // namespace ql
