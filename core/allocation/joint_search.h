// SPDX-License-Identifier: GPL-3.0-or-later
// Losses that are no sum over items: pair terms are added where two items take certain options. Strongly coupled items
// are put together in blocks, strongest pairs first, as long as a block has not too many choices; every choice of a
// block becomes an option of one item, which makes a multiple-choice problem without pairs that any solver solves.
// Pairs between blocks are not seen by it: they count in the loss, a search of single changes takes them into account,
// and the bound takes their least. Exact where no pair is left out: O(Σ choices of blocks · items of a block) beside
// the solver. Pure and thread-safe. Source: Wang et al., Q-VLM, NeurIPS 2024, section 3.2 (blocks of layers that depend
// on each other are searched jointly); Kellerer, Pferschy, Pisinger, Knapsack Problems, 2004, chapter 11.
#pragma once

#include "core/allocation/plan_problem.h"
#include "core/plan/layer_losses.h"

namespace ql {

struct PairTerm {
    std::size_t first = 0, second = 0; // items, not the same
    std::vector<double> losses;        // added, [options of first × options of second]; finite, of any sign
};
struct JointTerms {
    std::vector<double> own; // added to the loss of each option; empty: nothing is
    std::vector<PairTerm> pairs;
    double fixed = 0; // between what is not free
    bool isEmpty() const { return own.empty() && pairs.empty(); }
};

/// What the couplings of layers say of the problem's options: of tied layers the terms are an item's own, as are those
/// with a layer that is not free. Candidates are compared as the target completes them.
JointTerms jointTerms(const PlanProblem& problem, std::span<const LayerCoupling> couplings);

struct JointAllocation {
    Allocation allocation;        // losses and bound with all terms but the fixed one
    std::size_t largestBlock = 0; // items
    std::size_t leftOut = 0;      // pairs between blocks
};

constexpr std::size_t kMostBlockChoices = 4096;

/// Errors: usage for terms that do not fit the problem; those of solveWith.
Result<JointAllocation> solveJointly(const Solver& solver, const AllocationProblem& problem, const JointTerms& terms,
                                     const JobContext& context, std::size_t mostChoices = kMostBlockChoices);

} // namespace ql
