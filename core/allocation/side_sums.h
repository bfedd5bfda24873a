// SPDX-License-Identifier: GPL-3.0-or-later
// Sums of the side constraints of a choice, and whether they keep their limits. Compensated sums in the order of items.
#pragma once

#include "core/allocation/solver.h"

namespace ql::allocation {

/// Errors: usage for amounts that do not fit the problem or are not finite; refused, with what would do, for a limit
/// that no choice can keep even by itself.
Result<void> checkSides(const AllocationProblem& problem);

/// Σ of what is fixed.
double fixedSum(const SideConstraint& side);

/// Σ amounts of the chosen options and of what is fixed.
double sumOf(const SideConstraint& side, const AllocationProblem& problem, std::span<const std::size_t> choice);

/// By how much a sum may pass a limit: 10⁻¹² of the largest magnitude that the amounts can add up to.
double allowance(const SideConstraint& side, const AllocationProblem& problem);

/// Whether the choice keeps the budget and all limits.
bool keepsLimits(const AllocationProblem& problem, std::span<const std::size_t> choice);

} // namespace ql::allocation
