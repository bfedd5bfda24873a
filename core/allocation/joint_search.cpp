// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/joint_search.h"

#include "core/allocation/side_sums.h"
#include "core/base/sum.h"
#include "core/plan/merged_sets.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>

namespace ql {

double JointProblem::own(std::size_t item, std::size_t option) const
{
    const std::size_t at = m_problem->offsets[item] + option;
    return m_problem->losses[at] + (m_terms->own.empty() ? 0 : m_terms->own[at]);
}

double JointProblem::of(const PairTerm& pair, std::span<const std::size_t> choice) const
{
    return pair.losses[choice[pair.first] * options(pair.second) + choice[pair.second]];
}

Result<void> JointProblem::check() const
{
    const auto isFinite = [](double loss) { return std::isfinite(loss); };
    bool fits = (m_terms->own.empty() || m_terms->own.size() == m_problem->losses.size()) &&
                std::ranges::all_of(m_terms->own, isFinite);
    for (const PairTerm& pair : m_terms->pairs)
        fits = fits && pair.first != pair.second && std::max(pair.first, pair.second) < m_problem->itemCount() &&
               pair.losses.size() == options(pair.first) * options(pair.second) &&
               std::ranges::all_of(pair.losses, isFinite);
    return fits ? Result<void>() : usageError("the couplings do not fit the items, or are no numbers");
}

/// Merges along the pairs, the strongest first.
void JointProblem::makeBlocks(std::size_t mostChoices)
{
    const std::size_t n = m_problem->itemCount();
    std::vector<double> strength;
    for (const PairTerm& pair : m_terms->pairs) {
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
        const std::size_t a = sets.find(m_terms->pairs[p].first);
        const std::size_t b = sets.find(m_terms->pairs[p].second);
        if (a == b || choices[a] > mostChoices / choices[b])
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
    for (const PairTerm& pair : m_terms->pairs) {
        const std::size_t first = sets.find(pair.first);
        if (first == sets.find(pair.second))
            m_blocks[blockOf[first]].pairs.push_back(&pair);
        else
            m_between.push_back(&pair);
    }
}

/// Goes to the next choice of the block; false behind the last.
bool JointProblem::next(const Block& block, Choice& choice) const
{
    for (const std::size_t item : block.items) {
        if (++choice[item] < options(item))
            return true;
        choice[item] = 0;
    }
    return false;
}

/// Options stand in the order of next().
Result<void> JointProblem::join(const JobContext& context)
{
    m_joined.offsets = {0};
    m_joined.budget = m_problem->budget;
    CompensatedSum shift;
    Choice choice(m_problem->itemCount(), 0);
    for (const Block& block : m_blocks) {
        QL_CHECK(context.checkStop());
        const std::size_t begin = m_joined.losses.size();
        do {
            std::int64_t size = 0;
            CompensatedSum loss;
            for (const std::size_t item : block.items) {
                size += m_problem->sizes[m_problem->offsets[item] + choice[item]];
                loss.add(own(item, choice[item]));
            }
            for (const PairTerm* pair : block.pairs)
                loss.add(of(*pair, choice));
            m_joined.sizes.push_back(size);
            m_joined.losses.push_back(loss.value());
        } while (next(block, choice));
        const double least =
            *std::min_element(m_joined.losses.begin() + static_cast<std::ptrdiff_t>(begin), m_joined.losses.end());
        for (std::size_t o = begin; o < m_joined.losses.size(); ++o)
            m_joined.losses[o] -= least;
        shift.add(least);
        m_joined.offsets.push_back(m_joined.losses.size());
    }
    m_shift = shift.value();
    for (const SideConstraint& side : m_problem->sides)
        m_joined.sides.push_back(overBlocks(side));
    return {};
}

SideConstraint JointProblem::overBlocks(const SideConstraint& side) const
{
    SideConstraint joined = side;
    joined.amounts.clear();
    Choice choice(m_problem->itemCount(), 0);
    for (const Block& block : m_blocks)
        do {
            CompensatedSum amount;
            for (const std::size_t item : block.items)
                amount.add(side.amounts[m_problem->offsets[item] + choice[item]]);
            joined.amounts.push_back(amount.value());
        } while (next(block, choice));
    return joined;
}

JointProblem::Choice JointProblem::choiceOf(const Choice& ofBlocks) const
{
    Choice choice(m_problem->itemCount(), 0);
    for (std::size_t b = 0; b < m_blocks.size(); ++b) {
        std::size_t rest = ofBlocks[b];
        for (const std::size_t item : m_blocks[b].items) {
            choice[item] = rest % options(item);
            rest /= options(item);
        }
    }
    return choice;
}

double JointProblem::lossOf(const Choice& choice) const
{
    CompensatedSum loss;
    for (std::size_t i = 0; i < choice.size(); ++i)
        loss.add(own(i, choice[i]));
    for (const PairTerm& pair : m_terms->pairs)
        loss.add(of(pair, choice));
    return loss.value();
}

/// Single changes that keep the limits and lower the loss with all pairs, until there is none.
Result<void> JointProblem::improve(Choice& choice, const AllocationProblem& within, const JobContext& context) const
{
    double best = lossOf(choice);
    for (bool improves = true; improves;) {
        improves = false;
        for (std::size_t i = 0; i < choice.size(); ++i) {
            QL_CHECK(context.checkStop());
            const std::size_t before = choice[i];
            std::size_t kept = before;
            for (std::size_t o = 0; o < options(i); ++o) {
                choice[i] = o;
                const double loss = o == before ? best : lossOf(choice);
                if (loss < best && allocation::keepsLimits(within, choice)) {
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

Result<JointProblem> JointProblem::make(const AllocationProblem& problem, const JointTerms& terms,
                                        const JobContext& context, std::size_t mostChoices)
{
    QL_CHECK(allocation::checkSides(problem));
    JointProblem joint(problem, terms);
    QL_CHECK(joint.check());
    joint.makeBlocks(mostChoices);
    QL_CHECK(joint.join(context));
    return joint;
}

Result<Allocation> JointProblem::overItems(const Allocation& ofBlocks, const AllocationProblem& within,
                                           const JobContext& context) const
{
    Allocation its = ofBlocks;
    its.choice = choiceOf(ofBlocks.choice);
    double bound = ofBlocks.lowerBound + m_shift;
    if (!m_between.empty()) {
        QL_CHECK(improve(its.choice, within, context));
        its.optimal = false;
        for (const PairTerm* pair : m_between)
            bound += *std::ranges::min_element(pair->losses);
    }
    its.size = 0;
    for (std::size_t i = 0; i < its.choice.size(); ++i)
        its.size += m_problem->sizes[m_problem->offsets[i] + its.choice[i]];
    its.loss = lossOf(its.choice);
    its.lowerBound = std::min(its.loss, bound);
    its.optimal = its.optimal || !(its.lowerBound < its.loss);
    return its;
}

std::size_t JointProblem::largestBlock() const
{
    std::size_t largest = 0;
    for (const Block& block : m_blocks)
        largest = std::max(largest, block.items.size());
    return largest;
}

namespace {

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
    if (terms.isEmpty()) {
        QL_TRY(found, solveWith(solver, problem, context));
        return JointAllocation{.allocation = std::move(found), .largestBlock = 1, .leftOut = 0};
    }
    QL_TRY(joint, JointProblem::make(problem, terms, context, mostChoices));
    QL_TRY(found, solveWith(solver, joint.ofBlocks(), context));
    QL_TRY(allocation, joint.overItems(found, problem, context));
    return JointAllocation{
        .allocation = std::move(allocation), .largestBlock = joint.largestBlock(), .leftOut = joint.leftOut()};
}

} // namespace ql
