// SPDX-License-Identifier: GPL-3.0-or-later
// What a plan changes against another, item by item, and why a solver would.
#pragma once

#include "core/plan/cost_table.h"

namespace ql {

enum class ChangeReason {
    locked,  // its layers are locked in the later plan
    gains,   // it saves at least the price for each bit it adds
    frees,   // its bits save more elsewhere: it loses at most the price for each bit it gives
    fills,   // neither: options are whole, and what was left of the budget fits here
    unknown, // a loss was not measured
};
std::string_view word(ChangeReason reason);

struct PlanChange {
    std::size_t item = 0; // of the table
    Candidate before;     // of the item's first layer
    Candidate after;
    std::int64_t addedBits = 0; // payload, of all its layers
    double addedLoss = 0;       // NaN where a loss is unknown
    ChangeReason reason = ChangeReason::unknown;
};

/// The items whose layers differ, the largest change of loss first (unknown ones last, equal ones in the order of the
/// table). lossPerBit is the shadow price at which the later plan was solved.
std::vector<PlanChange> planChanges(const Model& model, const CostTable& table, const Plan& before, const Plan& after,
                                    double lossPerBit);

} // namespace ql
