// SPDX-License-Identifier: GPL-3.0-or-later
// The linear relaxation of a multiple-choice problem with several limits. Every limit is a row Σ a·x ≤ b; amounts count
// above the item's smallest and are divided by the row's largest, so that a is in [0, 1]. The simplex method works on
// one column more per row than there are items: each item has a key option whose share is what its other options leave
// of 1 (generalized upper bounds), so that a step costs O(options·rows + rows³).
//
// Its multipliers λ ≥ 0 give a bound whatever rounding did to them:
//   loss of any choice that keeps the rows ≥ Σ_i min_o (loss + λ·a) − λ·b,
// and an option that exceeds its item's minimum by the gap is in no better choice.
// Source: Dantzig and Van Slyke, Generalized upper bounding techniques, 1967; Geoffrion, Lagrangean relaxation, 1974.
#pragma once

#include "core/allocation/solver.h"

#include <cstdint>

namespace ql::allocation {

struct Rows {
    std::size_t count = 0;
    std::vector<std::size_t> offsets; // of the problem
    std::vector<double> amounts;      // [options × count]
    std::vector<double> limits;       // [count], with the allowance of the side constraints
    std::vector<double> scales;       // what amounts were divided by
    std::vector<double> losses;       // of the problem
    std::size_t itemCount() const { return offsets.size() - 1; }
};

/// Row 0 is the budget; a side constraint has one for each finite limit. Rows that no choice can break are left out,
/// except the budget's.
Rows makeRows(const AllocationProblem& problem);

struct LinearSolution {
    bool feasible = false;                 // false: no choice of the allowed options keeps the rows (proven)
    double bound = 0;                      // of the loss
    std::vector<double> prices;            // λ, [rows]
    std::vector<std::size_t> key;          // per item the option (index into the problem's) with the largest share
    std::vector<double> cost;              // loss + λ·a of each option
    std::vector<double> least;             // per item, of its allowed options
    std::vector<std::uint32_t> fractional; // items whose share is split
    std::vector<double> mean;              // λ·a of the split items' mixture, beside fractional
    std::int64_t work = 0;                 // additions, about
};

/// Solves over the allowed options, of which each item has at least one. `prices` to start from, or none. Ends early
/// after a stop request: what it returns then still holds.
LinearSolution solveLinear(const Rows& rows, const std::vector<std::uint8_t>& allowed,
                           const std::vector<double>& prices, const JobContext& context);

} // namespace ql::allocation
