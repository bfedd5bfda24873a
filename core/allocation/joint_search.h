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

constexpr std::size_t kMostBlockChoices = 4096;

/// The items as blocks. Immutable; refers to the problem and the terms.
class JointProblem {
public:
    /// Errors: usage for terms or side constraints that do not fit the problem, refused for those that no choice keeps.
    static Result<JointProblem> make(const AllocationProblem& problem, const JointTerms& terms,
                                     const JobContext& context, std::size_t mostChoices = kMostBlockChoices);

    /// An item for each block, an option for each of its choices; losses from the block's least, budget and side
    /// constraints as the problem has them.
    const AllocationProblem& ofBlocks() const { return m_joined; }
    /// A side constraint over the problem's options as one over those of the blocks.
    SideConstraint overBlocks(const SideConstraint& side) const;
    /// A solution over blocks as one over items, with all terms but the fixed one in its loss and bound; where pairs
    /// are left out improved by single changes that keep the limits of `within`, which are those it was solved for.
    Result<Allocation> overItems(const Allocation& ofBlocks, const AllocationProblem& within,
                                 const JobContext& context) const;
    std::size_t largestBlock() const;                        // items
    std::size_t leftOut() const { return m_between.size(); } // pairs between blocks

private:
    using Choice = std::vector<std::size_t>;
    struct Block {
        std::vector<std::size_t> items;
        std::vector<const PairTerm*> pairs; // inside
    };

    JointProblem(const AllocationProblem& problem, const JointTerms& terms) : m_problem(&problem), m_terms(&terms) {}
    std::size_t options(std::size_t item) const { return m_problem->offsets[item + 1] - m_problem->offsets[item]; }
    double own(std::size_t item, std::size_t option) const;
    double of(const PairTerm& pair, std::span<const std::size_t> choice) const;
    Result<void> check() const;
    void makeBlocks(std::size_t mostChoices);
    bool next(const Block& block, Choice& choice) const;
    Result<void> join(const JobContext& context);
    Choice choiceOf(const Choice& ofBlocks) const;
    double lossOf(const Choice& choice) const;
    Result<void> improve(Choice& choice, const AllocationProblem& within, const JobContext& context) const;

    const AllocationProblem* m_problem;
    const JointTerms* m_terms;
    std::vector<Block> m_blocks;
    std::vector<const PairTerm*> m_between; // blocks
    AllocationProblem m_joined;
    double m_shift = 0; // Σ of the blocks' least losses
};

struct JointAllocation {
    Allocation allocation;        // losses and bound with all terms but the fixed one
    std::size_t largestBlock = 0; // items
    std::size_t leftOut = 0;      // pairs between blocks
};

/// Without terms as solveWith() does. Errors: those of JointProblem and solveWith.
Result<JointAllocation> solveJointly(const Solver& solver, const AllocationProblem& problem, const JointTerms& terms,
                                     const JobContext& context, std::size_t mostChoices = kMostBlockChoices);

} // namespace ql
