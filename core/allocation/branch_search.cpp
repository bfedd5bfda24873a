// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/branch_search.h"

#include "core/allocation/core_search.h"
#include "core/allocation/linear_rows.h"
#include "core/allocation/side_sums.h"
#include "core/base/sum.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ql::allocation {

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
constexpr double kRowTolerance = 1e-11;

/// A part of the search that is still to be looked at.
struct Open {
    std::size_t trail = 0;             // how many bans it shares with its parent
    std::vector<std::uint32_t> banned; // options
    double bound = 0;                  // of the parent
    std::vector<double> prices;        // likewise
};

class Search {
public:
    Search(const AllocationProblem& problem, std::int64_t mostWork, const JobContext& context)
        : m_problem(problem),
          m_mostWork(mostWork),
          m_context(context),
          m_rows(makeRows(problem)),
          m_allowed(problem.sizes.size(), 1)
    {
        for (std::size_t i = 0; i < problem.itemCount(); ++i) {
            double most = 0;
            for (std::size_t o = problem.offsets[i]; o < problem.offsets[i + 1]; ++o)
                most = std::max(most, problem.losses[o]);
            m_lossScale += most;
        }
    }

    Result<BranchSearch> run()
    {
        m_open.push_back({.trail = 0, .banned = {}, .bound = 0, .prices = {}});
        while (!m_open.empty() && m_work < m_mostWork) {
            QL_CHECK(m_context.checkStop());
            Open next = std::move(m_open.back());
            m_open.pop_back();
            enter(next);
        }
        m_result.complete = m_open.empty();
        m_result.bound = m_result.loss = m_best;
        for (const Open& open : m_open)
            m_result.bound = std::min(m_result.bound, open.bound);
        return std::move(m_result);
    }

private:
    std::size_t begin(std::size_t item) const { return m_problem.offsets[item]; }
    std::size_t end(std::size_t item) const { return m_problem.offsets[item + 1]; }
    double tolerance() const { return 1e-12 * m_best + 1e-15 * m_lossScale; }
    bool isBeaten(double bound) const { return m_result.found && bound >= m_best - tolerance(); }

    void ban(std::size_t option)
    {
        if (!m_allowed[option])
            return;
        m_allowed[option] = 0;
        m_trail.push_back(static_cast<std::uint32_t>(option));
    }
    bool hasOptions(std::size_t item) const
    {
        for (std::size_t o = begin(item); o < end(item); ++o)
            if (m_allowed[o])
                return true;
        return false;
    }

    void enter(const Open& open)
    {
        for (; m_trail.size() > open.trail; m_trail.pop_back())
            m_allowed[m_trail.back()] = 1;
        if (isBeaten(open.bound))
            return;
        for (const std::uint32_t option : open.banned)
            ban(option);
        ++m_result.nodes;
        const LinearSolution linear = solveLinear(m_rows, m_allowed, open.prices, m_context);
        m_work += linear.work;
        if (!linear.feasible)
            return;
        if (m_result.nodes == 1)
            m_result.sizePrice = linear.prices[0] / m_rows.scales[0];
        const double bound = std::max({open.bound, linear.bound, 0.0});
        if (isBeaten(bound))
            return;
        tryRounded(linear.key);
        if (isBeaten(bound))
            return;
        if (m_result.found)
            for (std::size_t i = 0; i < m_problem.itemCount(); ++i)
                for (std::size_t o = begin(i); o < end(i); ++o)
                    if (m_allowed[o] && linear.bound + (linear.cost[o] - linear.least[i]) >= m_best - tolerance())
                        ban(o);
        branch(linear, bound);
    }

    void branch(const LinearSolution& linear, double bound)
    {
        std::vector<std::uint32_t> low;
        std::vector<std::uint32_t> high;
        std::size_t key = 0;
        double widest = -1;
        for (std::size_t f = 0; f < linear.fractional.size(); ++f) {
            const std::size_t item = linear.fractional[f];
            std::vector<std::uint32_t> under;
            std::vector<std::uint32_t> over;
            double dearest = -kInfinite; // nearest prices on both sides of the mean
            double cheapest = kInfinite;
            for (std::size_t o = begin(item); o < end(item); ++o) {
                if (!m_allowed[o])
                    continue;
                const double price = linear.cost[o] - m_problem.losses[o];
                (price <= linear.mean[f] ? under : over).push_back(static_cast<std::uint32_t>(o));
                (price <= linear.mean[f] ? dearest : cheapest) =
                    price <= linear.mean[f] ? std::max(dearest, price) : std::min(cheapest, price);
            }
            if (under.empty() || over.empty())
                continue;
            const double width = std::min(linear.mean[f] - dearest, cheapest - linear.mean[f]);
            if (width > widest) {
                widest = width;
                low = std::move(under);
                high = std::move(over);
                key = linear.key[item];
            }
        }
        if (widest < 0) {
            // Nothing is mixed, but rounding hid that a limit is passed: the item with the most options.
            std::size_t most = 1;
            for (std::size_t i = 0; i < m_problem.itemCount(); ++i) {
                const auto options = static_cast<std::size_t>(
                    std::count(m_allowed.begin() + static_cast<std::ptrdiff_t>(begin(i)),
                               m_allowed.begin() + static_cast<std::ptrdiff_t>(end(i)), std::uint8_t{1}));
                if (options <= most)
                    continue;
                most = options;
                key = m_allowed[linear.key[i]] ? linear.key[i] : begin(i);
                while (!m_allowed[key])
                    ++key;
                low = {static_cast<std::uint32_t>(key)};
                high.clear();
                for (std::size_t o = begin(i); o < end(i); ++o)
                    if (m_allowed[o] && o != key)
                        high.push_back(static_cast<std::uint32_t>(o));
            }
            if (most == 1)
                return; // one choice is left, and tryRounded has seen it
        }
        const bool keyIsLow = std::ranges::find(low, key) != low.end();
        // Each part bans what the other keeps; the one with the larger share comes first, so it is pushed last.
        for (const bool isLow : {!keyIsLow, keyIsLow})
            m_open.push_back(
                {.trail = m_trail.size(), .banned = isLow ? high : low, .bound = bound, .prices = linear.prices});
    }

    // Rounding ------------------------------------------------------------------------------------------------------

    double amount(std::size_t option, std::size_t row) const { return m_rows.amounts[option * m_rows.count + row]; }

    /// From the relaxation's options to a choice that keeps the limits, and from there downhill.
    void tryRounded(const std::vector<std::size_t>& key)
    {
        m_chosen = key;
        m_over.assign(m_rows.count, 0);
        for (std::size_t k = 0; k < m_rows.count; ++k) {
            CompensatedSum sum;
            for (const std::size_t option : m_chosen)
                sum.add(amount(option, k));
            m_over[k] = sum.value() - m_rows.limits[k];
        }
        offer(); // as it is, rounding of the rows aside
        const std::size_t most = m_problem.itemCount() + 20;
        std::size_t steps = 0;
        while (excess() > kRowTolerance && steps++ < most && !m_context.stopRequested())
            if (!mendOnce())
                return;
        while (steps++ < 2 * most && !m_context.stopRequested() && improveOnce())
            ;
        offer();
    }
    double excess() const
    {
        double sum = 0;
        for (const double over : m_over)
            sum += std::max(0.0, over);
        return sum;
    }
    void move(std::size_t item, std::size_t option)
    {
        for (std::size_t k = 0; k < m_rows.count; ++k)
            m_over[k] += amount(option, k) - amount(m_chosen[item], k);
        m_chosen[item] = option;
    }
    /// The change that costs least for the excess it takes away.
    bool mendOnce()
    {
        m_work += static_cast<std::int64_t>(m_problem.sizes.size() * m_rows.count);
        const double before = excess();
        double least = kInfinite;
        std::size_t bestItem = 0;
        std::size_t bestOption = 0;
        for (std::size_t i = 0; i < m_problem.itemCount(); ++i)
            for (std::size_t o = begin(i); o < end(i); ++o) {
                double after = 0;
                for (std::size_t k = 0; k < m_rows.count; ++k)
                    after += std::max(0.0, m_over[k] + amount(o, k) - amount(m_chosen[i], k));
                const double taken = before - after;
                if (!(taken > 1e-13))
                    continue;
                const double cost = m_problem.losses[o] - m_problem.losses[m_chosen[i]];
                const double score = cost > 0 ? cost / taken : cost * taken;
                if (score < least) {
                    least = score;
                    bestItem = i;
                    bestOption = o;
                }
            }
        if (least == kInfinite)
            return false;
        move(bestItem, bestOption);
        return true;
    }
    /// The change within the limits that saves most.
    bool improveOnce()
    {
        m_work += static_cast<std::int64_t>(m_problem.sizes.size() * m_rows.count);
        double most = 0;
        std::size_t bestItem = 0;
        std::size_t bestOption = 0;
        for (std::size_t i = 0; i < m_problem.itemCount(); ++i)
            for (std::size_t o = begin(i); o < end(i); ++o) {
                const double saved = m_problem.losses[m_chosen[i]] - m_problem.losses[o];
                if (!(saved > most))
                    continue;
                bool fits = true;
                for (std::size_t k = 0; k < m_rows.count && fits; ++k)
                    fits = m_over[k] + amount(o, k) - amount(m_chosen[i], k) <= 0;
                if (fits) {
                    most = saved;
                    bestItem = i;
                    bestOption = o;
                }
            }
        if (!(most > 0))
            return false;
        move(bestItem, bestOption);
        return true;
    }
    /// Takes the choice at hand if it keeps the limits, counted exactly, and is the best so far.
    void offer()
    {
        CompensatedSum loss;
        for (const std::size_t option : m_chosen)
            loss.add(m_problem.losses[option]);
        if (m_result.found && !(loss.value() < m_best))
            return;
        std::vector<std::size_t> choice(m_chosen.size());
        for (std::size_t i = 0; i < choice.size(); ++i)
            choice[i] = m_chosen[i] - begin(i);
        if (!keepsLimits(m_problem, choice))
            return;
        m_result.found = true;
        m_result.choice = std::move(choice);
        m_best = loss.value();
    }

    const AllocationProblem& m_problem;
    std::int64_t m_mostWork;
    const JobContext& m_context;
    Rows m_rows;
    std::vector<std::uint8_t> m_allowed;
    std::vector<std::uint32_t> m_trail; // banned options, latest last
    std::vector<Open> m_open;
    std::vector<std::size_t> m_chosen; // option of the problem per item
    std::vector<double> m_over;        // sums of the rows less their limits
    BranchSearch m_result;
    double m_best = kInfinite;
    double m_lossScale = 0;
    std::int64_t m_work = 0;
};

} // namespace

Result<BranchSearch> searchBranches(const AllocationProblem& problem, std::int64_t mostWork, const JobContext& context)
{
    return Search(problem, mostWork, context).run();
}

Result<Program> tryProgram(const AllocationProblem& problem, std::int64_t mostWork, const JobContext& context)
{
    QL_TRY(relaxation, relax(problem));
    QL_CHECK(context.checkStop());
    QL_TRY(core, searchCore(relaxation, context));
    Allocation found = makeAllocation(problem, relaxation, core);
    if (keepsLimits(problem, found.choice)) { // no other limit binds
        const double bound = found.lowerBound;
        return Program{.best = std::move(found), .bound = bound};
    }
    QL_TRY(search, searchBranches(problem, mostWork, context));
    if (!search.found)
        return Program{.best = std::nullopt, .bound = search.bound};
    found.choice = std::move(search.choice);
    found.size = 0;
    CompensatedSum loss;
    for (std::size_t i = 0; i < found.choice.size(); ++i) {
        const std::size_t option = problem.offsets[i] + found.choice[i];
        found.size += problem.sizes[option];
        loss.add(problem.losses[option]);
    }
    found.loss = loss.value();
    found.optimal = search.complete;
    found.lowerBound = search.complete ? found.loss : std::min(found.loss, std::max(found.lowerBound, search.bound));
    found.shadowPrice = search.sizePrice;
    const double bound = found.lowerBound;
    return Program{.best = std::move(found), .bound = bound};
}

Result<Allocation> solveProgram(const AllocationProblem& problem, std::int64_t mostWork, const JobContext& context)
{
    QL_TRY(program, tryProgram(problem, mostWork, context));
    if (!program.best)
        return refused(std::isinf(program.bound)
                           ? "no choice keeps all limits at once; raise one of them, unlock layers or add smaller "
                             "candidates"
                           : "no choice was found that keeps all limits, and none was proven impossible; raise one of "
                             "them");
    return std::move(*program.best);
}

} // namespace ql::allocation
