// SPDX-License-Identifier: GPL-3.0-or-later
// The exact part: which few items leave the relaxation's choice.
//
// A deviation gives an item another option than base; it has a reduced cost r ≥ 0 and a size difference. A solution
// better than the best known one uses deviations with Σr < gap only. Those deviations' items, by ascending r, are dealt
// to two lists of partial solutions (meet in the middle); a list keeps for each size the least loss, nothing whose Σr
// reaches the gap, and nothing that a smaller partial solution equals in loss. A sweep over both finds the best pair.
// If every item below the gap was dealt, that pair is the optimum; if the lists reach their limit first, the pair still
// lowers the gap, and the next round has fewer deviations and twice the limit.
//
// Many alike items (repeated sizes, equal losses) are thinned first: r ≥ 0 means that dropping deviations whose sizes
// sum to zero never hurts, so some optimal solution can be ordered with all prefix sums distinct and within a window of
// M sizes: it has fewer than M deviations, and of those with equal size difference only the M cheapest can be needed.
//
// Source: Pisinger, A minimal algorithm for the multiple-choice knapsack problem, EJOR 83, 1995 (core, reduced costs);
// Horowitz and Sahni 1974 (two lists); Steinitz ordering as in Eisenbrand and Weismantel 2018 (window).
#pragma once

#include "core/allocation/relaxation.h"

namespace ql::allocation {

struct CoreSearch {
    std::vector<std::uint32_t> choice; // best known, indices into relaxation.options
    double gap = 0;                    // its loss above relaxation.lowerBound
    double bound = 0;                  // proven: no solution has a gap below this
    bool complete = false;             // the search proved choice optimal up to tolerance(relaxation)
};

/// Improves on the greedy choice until it is proven optimal, or until the lists would pass about 10⁶ partial solutions.
Result<CoreSearch> searchCore(const Relaxation& relaxation, const JobContext& context);

/// What the search finds, as the answer to the problem that was relaxed.
Allocation makeAllocation(const AllocationProblem& problem, const Relaxation& relaxation, const CoreSearch& search);

} // namespace ql::allocation
