// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/joint_search.h"

#include "core/allocation/side_sums.h"
#include "core/base/sum.h"
#include "core/plan/merged_sets.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace ql {

namespace {

using Choice = std::vector<std::size_t>;

class Joining {
public:
    Joining(const AllocationProblem& problem, const JointTerms& terms, std::size_t mostChoices,
            const JobContext& context)
        : m_problem(problem), m_terms(terms), m_mostChoices(mostChoices), m_context(context)
    {}

    Result<JointAllocation> solve(const Solver& solver)
    {
        QL_CHECK(check());
        makeBlocks();
        QL_TRY(joined, joinedProblem());
        QL_TRY(found, solveWith(solver, joined, m_context));
        JointAllocation result;
        result.allocation = std::move(found);
        for (const Block& block : m_blocks)
            result.largestBlock = std::max(result.largestBlock, block.items.size());
        result.leftOut = m_between.size();
        Allocation& its = result.allocation;
        its.choice = choiceOf(its.choice);
        double bound = its.lowerBound + m_shift;
        if (!m_between.empty()) {
            QL_CHECK(improve(its.choice));
            its.optimal = false;
            for (const PairTerm* pair : m_between)
                bound += *std::ranges::min_element(pair->losses);
        }
        its.size = 0;
        for (std::size_t i = 0; i < its.choice.size(); ++i)
            its.size += m_problem.sizes[m_problem.offsets[i] + its.choice[i]];
        its.loss = lossOf(its.choice);
        its.lowerBound = std::min(its.loss, bound);
        its.optimal = its.optimal || !(its.lowerBound < its.loss);
        return result;
    }

private:
    struct Block {
        std::vector<std::size_t> items;
        std::vector<const PairTerm*> pairs; // inside
    };

    std::size_t options(std::size_t item) const { return m_problem.offsets[item + 1] - m_problem.offsets[item]; }
    double own(std::size_t item, std::size_t option) const
    {
        const std::size_t at = m_problem.offsets[item] + option;
        return m_problem.losses[at] + (m_terms.own.empty() ? 0 : m_terms.own[at]);
    }
    double of(const PairTerm& pair, std::span<const std::size_t> choice) const
    {
        return pair.losses[choice[pair.first] * options(pair.second) + choice[pair.second]];
    }

    Result<void> check() const
    {
        const auto isFinite = [](double loss) { return std::isfinite(loss); };
        bool fits = (m_terms.own.empty() || m_terms.own.size() == m_problem.losses.size()) &&
                    std::ranges::all_of(m_terms.own, isFinite);
        for (const PairTerm& pair : m_terms.pairs)
            fits = fits && pair.first != pair.second && std::max(pair.first, pair.second) < m_problem.itemCount() &&
                   pair.losses.size() == options(pair.first) * options(pair.second) &&
                   std::ranges::all_of(pair.losses, isFinite);
        return fits ? Result<void>() : usageError("the couplings do not fit the items, or are no numbers");
    }

    /// Merges along the pairs, the strongest first.
    void makeBlocks()
    {
        const std::size_t n = m_problem.itemCount();
        std::vector<double> strength;
        for (const PairTerm& pair : m_terms.pairs) {
            const auto [least, most] = std::ranges::minmax(pair.losses);
            strength.push_back(most - least);
        }
        std::vector<std::size_t> order(strength.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t p) { return strength[p]; });
        MergedSets sets(n);
        std::vector<std::size_t> choices(n);
        for (std::size_t i = 0; i < n; ++i)
            choices[i] = options(i);
        for (const std::size_t p : order) {
            const std::size_t a = sets.find(m_terms.pairs[p].first);
            const std::size_t b = sets.find(m_terms.pairs[p].second);
            if (a == b || choices[a] > m_mostChoices / choices[b])
                continue;
            const std::size_t product = choices[a] * choices[b];
            sets.merge(a, b);
            choices[sets.find(a)] = product;
        }
        std::map<std::size_t, std::size_t> blockOf; // by root
        for (std::size_t i = 0; i < n; ++i) {
            const auto [at, isNew] = blockOf.try_emplace(sets.find(i), m_blocks.size());
            if (isNew)
                m_blocks.emplace_back();
            m_blocks[at->second].items.push_back(i);
        }
        for (const PairTerm& pair : m_terms.pairs) {
            const std::size_t first = sets.find(pair.first);
            if (first == sets.find(pair.second))
                m_blocks[blockOf[first]].pairs.push_back(&pair);
            else
                m_between.push_back(&pair);
        }
    }

    /// Goes to the next choice of the block; false behind the last.
    bool next(const Block& block, Choice& choice) const
    {
        for (const std::size_t item : block.items) {
            if (++choice[item] < options(item))
                return true;
            choice[item] = 0;
        }
        return false;
    }

    /// An item for each block, an option for each of its choices in the order of next(); losses from the block's least.
    Result<AllocationProblem> joinedProblem()
    {
        AllocationProblem joined{
            .offsets = {0}, .sizes = {}, .losses = {}, .budget = m_problem.budget, .sides = m_problem.sides};
        for (SideConstraint& side : joined.sides)
            side.amounts.clear();
        CompensatedSum shift;
        Choice choice(m_problem.itemCount(), 0);
        for (const Block& block : m_blocks) {
            QL_CHECK(m_context.checkStop());
            const std::size_t begin = joined.losses.size();
            do {
                std::int64_t size = 0;
                CompensatedSum loss;
                for (const std::size_t item : block.items) {
                    size += m_problem.sizes[m_problem.offsets[item] + choice[item]];
                    loss.add(own(item, choice[item]));
                }
                for (const PairTerm* pair : block.pairs)
                    loss.add(of(*pair, choice));
                joined.sizes.push_back(size);
                joined.losses.push_back(loss.value());
                for (std::size_t s = 0; s < joined.sides.size(); ++s) {
                    CompensatedSum amount;
                    for (const std::size_t item : block.items)
                        amount.add(m_problem.sides[s].amounts[m_problem.offsets[item] + choice[item]]);
                    joined.sides[s].amounts.push_back(amount.value());
                }
            } while (next(block, choice));
            const double least =
                *std::min_element(joined.losses.begin() + static_cast<std::ptrdiff_t>(begin), joined.losses.end());
            for (std::size_t o = begin; o < joined.losses.size(); ++o)
                joined.losses[o] -= least;
            shift.add(least);
            joined.offsets.push_back(joined.losses.size());
        }
        m_shift = shift.value();
        return joined;
    }

    Choice choiceOf(const Choice& ofBlocks) const
    {
        Choice choice(m_problem.itemCount(), 0);
        for (std::size_t b = 0; b < m_blocks.size(); ++b) {
            std::size_t rest = ofBlocks[b];
            for (const std::size_t item : m_blocks[b].items) {
                choice[item] = rest % options(item);
                rest /= options(item);
            }
        }
        return choice;
    }

    double lossOf(const Choice& choice) const
    {
        CompensatedSum loss;
        for (std::size_t i = 0; i < choice.size(); ++i)
            loss.add(own(i, choice[i]));
        for (const PairTerm& pair : m_terms.pairs)
            loss.add(of(pair, choice));
        return loss.value();
    }

    /// Single changes that keep the limits and lower the loss with all pairs, until there is none.
    Result<void> improve(Choice& choice) const
    {
        double best = lossOf(choice);
        for (bool improves = true; improves;) {
            improves = false;
            for (std::size_t i = 0; i < choice.size(); ++i) {
                QL_CHECK(m_context.checkStop());
                const std::size_t before = choice[i];
                std::size_t kept = before;
                for (std::size_t o = 0; o < options(i); ++o) {
                    choice[i] = o;
                    const double loss = o == before ? best : lossOf(choice);
                    if (loss < best && allocation::keepsLimits(m_problem, choice)) {
                        best = loss;
                        kept = o;
                    }
                }
                choice[i] = kept;
                improves = improves || kept != before;
            }
        }
        return {};
    }

    const AllocationProblem& m_problem;
    const JointTerms& m_terms;
    std::size_t m_mostChoices;
    const JobContext& m_context;
    std::vector<Block> m_blocks;
    std::vector<const PairTerm*> m_between; // blocks
    double m_shift = 0;
};

/// Which options of a free item give the layer the candidate.
std::vector<std::size_t> optionsWith(const PlanProblem& problem, std::size_t item, std::int64_t layer,
                                     const Candidate& candidate)
{
    std::vector<std::size_t> found;
    for (std::size_t o = 0; o < problem.free()[item].columns.size(); ++o)
        if (problem.candidateOf(layer, item, o) == candidate)
            found.push_back(o);
    return found;
}

} // namespace

JointTerms jointTerms(const PlanProblem& problem, std::span<const LayerCoupling> couplings)
{
    JointTerms terms;
    std::map<std::int64_t, std::size_t> itemOf; // of free layers
    for (std::size_t i = 0; i < problem.free().size(); ++i)
        for (const std::int64_t layer : problem.table().items[problem.free()[i].item].layers)
            itemOf[layer] = i;
    const AllocationProblem& its = problem.problem();
    std::map<std::pair<std::size_t, std::size_t>, std::size_t> pairOf;
    CompensatedSum fixed;
    const auto addOwn = [&](std::size_t item, std::size_t option, double loss) {
        terms.own.resize(its.losses.size(), 0);
        terms.own[its.offsets[item] + option] += loss;
    };
    for (const LayerCoupling& coupling : couplings) {
        const auto isPlanned = [&](std::size_t side) {
            return problem.start().candidates[static_cast<std::size_t>(coupling.layers[side])] ==
                   coupling.candidates[side];
        };
        const auto first = itemOf.find(coupling.layers[0]);
        const auto second = itemOf.find(coupling.layers[1]);
        if (first == itemOf.end() && second == itemOf.end()) {
            fixed.add(isPlanned(0) && isPlanned(1) ? coupling.loss : 0);
            continue;
        }
        if (first == itemOf.end() || second == itemOf.end()) {
            const std::size_t side = first == itemOf.end() ? 1 : 0;
            const std::size_t item = side == 0 ? first->second : second->second;
            if (isPlanned(1 - side))
                for (const std::size_t o : optionsWith(problem, item, coupling.layers[side], coupling.candidates[side]))
                    addOwn(item, o, coupling.loss);
            continue;
        }
        const auto ofFirst = optionsWith(problem, first->second, coupling.layers[0], coupling.candidates[0]);
        const auto ofSecond = optionsWith(problem, second->second, coupling.layers[1], coupling.candidates[1]);
        for (const std::size_t a : ofFirst)
            for (const std::size_t b : ofSecond) {
                if (first->second == second->second) {
                    if (a == b)
                        addOwn(first->second, a, coupling.loss);
                    continue;
                }
                const bool isInOrder = first->second < second->second;
                const auto [low, high] = std::minmax(first->second, second->second);
                const auto [at, isNew] = pairOf.try_emplace({low, high}, terms.pairs.size());
                const std::size_t width = problem.free()[high].columns.size();
                if (isNew)
                    terms.pairs.push_back(
                        {.first = low,
                         .second = high,
                         .losses = std::vector<double>(problem.free()[low].columns.size() * width, 0.0)});
                terms.pairs[at->second].losses[(isInOrder ? a : b) * width + (isInOrder ? b : a)] += coupling.loss;
            }
    }
    terms.fixed = fixed.value();
    return terms;
}

Result<JointAllocation> solveJointly(const Solver& solver, const AllocationProblem& problem, const JointTerms& terms,
                                     const JobContext& context, std::size_t mostChoices)
{
    QL_CHECK(allocation::checkSides(problem));
    return Joining(problem, terms, mostChoices, context).solve(solver);
}

} // namespace ql
