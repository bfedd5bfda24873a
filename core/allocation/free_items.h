// SPDX-License-Identifier: GPL-3.0-or-later
// What a plan leaves to decide.
#pragma once

#include "core/plan/cost_table.h"

namespace ql {

/// An item that may be decided, with the columns it may take.
struct FreeItem {
    std::size_t item = 0;
    std::vector<std::size_t> columns; // not empty
};

/// The items of which no layer is locked and at least one column is allowed and measured.
std::vector<FreeItem> freeItems(const CostTable& table, const Plan& plan);

/// Gives the layers of an item the candidate of a column, as the target completes it.
void assignColumn(const Model& model, const CostTable& table, const TargetProfile* target, std::size_t item,
                  std::size_t column, Plan& plan);

} // namespace ql
