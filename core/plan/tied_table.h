// SPDX-License-Identifier: GPL-3.0-or-later
// What a user decides about a cost table before it is solved: layers that share a candidate, candidates that are
// allowed.
#pragma once

#include "core/plan/cost_table.h"

namespace ql {

/// Items that have layers in the same tie become one: losses and bits add up, a column is allowed where all allow it,
/// its evidence is the weakest, and standard errors add up as of independent samples.
CostTable tieItems(const Model& model, const CostTable& table, std::span<const Tie> ties);

/// Leaves the items that have one of the layers these candidates only. Errors: usage for a candidate that is no column,
/// or where an item has none of them left.
Result<void> allowOnly(CostTable& table, std::span<const std::int64_t> layers, std::span<const Candidate> candidates);

} // namespace ql
