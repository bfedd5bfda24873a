// SPDX-License-Identifier: GPL-3.0-or-later
// What all solvers of the multiple-choice knapsack start from: options that no other option of the item beats in both
// size and loss, sizes relative to each item's smallest and divided by their greatest common divisor, and the linear
// relaxation. The relaxation takes the steps of the items' lower convex hulls in order of loss saved per unit of size
// until one no longer fits; its slope λ is the Lagrange multiplier. For any choice within the budget
//   loss = lowerBound + Σ reducedCost + λ·(capacity − size),  all terms ≥ 0,
// so an option whose reduced cost is not below the gap (best known loss − lowerBound) is in no better solution.
// O(options · log options of an item). Sums in double, compensated.
// Source: Sinha and Zoltners 1979; Zemel 1984; Kellerer, Pferschy, Pisinger, Knapsack Problems, 2004, chapter 11.
#pragma once

#include "core/allocation/solver.h"

#include <cstdint>
#include <optional>

namespace ql::allocation {

struct Option {
    std::int64_t size = 0; // above the item's smallest, in units
    double loss = 0;
    std::uint32_t given = 0; // position within the item of the problem
};

/// From one point of an item's hull to the next.
struct Step {
    double slope = 0; // loss saved per unit of size
    std::int64_t size = 0;
    std::uint32_t item = 0;
    std::uint32_t to = 0; // index into Relaxation::options
};

struct Relaxation {
    std::vector<Option> options;        // undominated, by size within an item
    std::vector<std::uint32_t> offsets; // items + 1
    std::vector<Step> steps;            // by descending slope as far as the break; those behind it in any order
    std::vector<std::int64_t> reached;  // Σ sizes of the first steps, steps + 1; empty unless all are in order
    std::int64_t unit = 1;              // sizes were divided by it
    std::int64_t smallestSize = 0;      // of the problem, in its own unit
    std::vector<std::int64_t> smallest; // likewise of each item
    std::int64_t capacity = 0;          // what the budget leaves beyond it, in units
    std::vector<std::uint32_t> base;    // per item an index into options: the relaxation's choice, rounded down
    std::int64_t slack = 0;             // units left by base
    double multiplier = 0;              // λ per unit; 0 if the budget does not bind
    double baseLoss = 0;
    double lowerBound = 0;
    std::size_t taken = 0; // steps before the break

    std::size_t itemCount() const { return base.size(); }
    bool binds() const { return multiplier > 0; }
};

/// Checks and relaxes. Errors: usage for malformed problems (an item without options, a loss that is negative or not
/// finite, sizes that overflow), refused if even the smallest allocation exceeds the budget.
Result<Relaxation> relax(const AllocationProblem& problem);

/// Puts all steps in order, after which other budgets are cheap: O(log steps) to find the break, O(items) for the rest.
void orderSteps(Relaxation& relaxation);
/// The relaxation under another budget, after orderSteps. Errors: refused as by relax.
Result<void> setBudget(Relaxation& relaxation, std::int64_t budget);
/// Takes over what the problem now says of one item, or of the one option that is left to it, after orderSteps;
/// setBudget must follow. Copies; sorts nothing but the item's own.
Result<void> replaceItem(Relaxation& relaxation, const AllocationProblem& problem, std::size_t item,
                         std::optional<std::size_t> only = {});

/// The allocation of a choice per item (indices into options), with sums over the problem's own numbers; lowerBound and
/// optimal are the caller's to tighten.
Allocation makeAllocation(const AllocationProblem& problem, const Relaxation& relaxation,
                          const std::vector<std::uint32_t>& choice);

/// Losses that differ by less are equal but for the rounding of sums.
double tolerance(const Relaxation& relaxation);

/// Adds hull steps in order of slope, skipping what does not fit: never worse than base.
std::vector<std::uint32_t> fillGreedily(const Relaxation& relaxation);

} // namespace ql::allocation
