// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/core_search.h"

#include "core/base/sum.h"

#include <algorithm>
#include <limits>

namespace ql::allocation {

namespace {

constexpr std::size_t kFirstLimit = std::size_t{1} << 11;
constexpr std::size_t kLastLimit = std::size_t{1} << 20;
// A round also ends after this many nodes, and visits of states, for each state its lists may hold: a wide gap lets in
// thousands of deviations that the first pair makes superfluous.
constexpr std::size_t kNodesPerState = 16;
constexpr std::size_t kVisitsPerState = 128;
constexpr std::uint32_t kRoot = std::numeric_limits<std::uint32_t>::max();

struct Deviation {
    double reducedCost = 0;
    double loss = 0;       // change against base
    std::int64_t size = 0; // likewise
    std::uint32_t item = 0;
    std::uint32_t option = 0;
};

/// A partial solution; its deviations are the chain of nodes.
struct State {
    std::int64_t size = 0;
    double loss = 0;
    std::uint32_t node = kRoot;
};
struct Node {
    std::uint32_t parent;
    std::uint32_t deviation;
};

/// All deviations with a reduced cost below the gap.
std::vector<Deviation> deviationsBelow(const Relaxation& relaxation, double gap)
{
    std::vector<Deviation> deviations;
    for (std::uint32_t item = 0; item < relaxation.itemCount(); ++item) {
        const Option& base = relaxation.options[relaxation.base[item]];
        for (std::uint32_t o = relaxation.offsets[item]; o < relaxation.offsets[item + 1]; ++o) {
            if (o == relaxation.base[item])
                continue;
            const Option& option = relaxation.options[o];
            const double loss = option.loss - base.loss;
            const std::int64_t size = option.size - base.size;
            const double cost = std::max(0.0, loss + relaxation.multiplier * static_cast<double>(size));
            if (cost < gap)
                deviations.push_back({cost, loss, size, item, o});
        }
    }
    return deviations;
}

/// Keeps of each size difference as many of the cheapest deviations as an optimal solution can need.
void thin(const Relaxation& relaxation, double gap, std::vector<Deviation>& deviations)
{
    std::int64_t up = 0;
    std::int64_t down = 0;
    for (const Deviation& deviation : deviations) {
        up = std::max(up, deviation.size);
        down = std::max(down, -deviation.size);
    }
    const double unused = gap / relaxation.multiplier; // more slack than this costs the whole gap
    const double window = static_cast<double>(std::max(up, relaxation.slack)) +
                          std::max(static_cast<double>(down), unused - static_cast<double>(relaxation.slack)) + 1;
    if (!(window < static_cast<double>(deviations.size())))
        return;
    const auto most = static_cast<std::size_t>(window) + 1;
    std::sort(deviations.begin(), deviations.end(), [](const Deviation& a, const Deviation& b) {
        if (a.size != b.size)
            return a.size < b.size;
        return a.reducedCost != b.reducedCost ? a.reducedCost < b.reducedCost : a.item < b.item;
    });
    std::size_t kept = 0;
    std::size_t run = 0;
    for (std::size_t i = 0; i < deviations.size(); ++i) {
        run = i > 0 && deviations[i].size == deviations[i - 1].size ? run + 1 : 0;
        if (run < most)
            deviations[kept++] = deviations[i];
    }
    deviations.resize(kept);
}

/// The deviations of one item, a range of the sorted deviations.
struct CoreItem {
    double cost = 0; // of the cheapest
    bool grows = false;
    std::size_t begin = 0;
    std::size_t end = 0;
};

/// Groups the deviations by item. Items that grow and items that shrink take turns, each kind by ascending cost: where
/// thousands cost nothing, a few of both kinds already fill the budget to the last unit.
std::vector<CoreItem> groupByItem(std::vector<Deviation>& deviations)
{
    std::sort(deviations.begin(), deviations.end(), [](const Deviation& a, const Deviation& b) {
        return a.item != b.item ? a.item < b.item : a.option < b.option;
    });
    std::vector<CoreItem> items;
    for (std::size_t i = 0; i < deviations.size(); ++i) {
        if (i == 0 || deviations[i].item != deviations[i - 1].item)
            items.push_back({std::numeric_limits<double>::infinity(), false, i, i});
        if (deviations[i].reducedCost < items.back().cost) {
            items.back().cost = deviations[i].reducedCost;
            items.back().grows = deviations[i].size > 0;
        }
        items.back().end = i + 1;
    }
    std::stable_sort(items.begin(), items.end(), [](const CoreItem& a, const CoreItem& b) { return a.cost < b.cost; });
    std::vector<CoreItem> kinds[2];
    for (const CoreItem& item : items)
        kinds[item.grows ? 1 : 0].push_back(item);
    items.clear();
    for (std::size_t i = 0; i < std::max(kinds[0].size(), kinds[1].size()); ++i)
        for (const std::vector<CoreItem>& kind : kinds)
            if (i < kind.size())
                items.push_back(kind[i]);
    return items;
}

/// One round with a fixed gap and list limit.
class Round {
public:
    Round(const Relaxation& relaxation, double gap, std::size_t limit)
        : m_relaxation(relaxation), m_gap(gap), m_limit(limit), m_deviations(deviationsBelow(relaxation, gap))
    {
        thin(relaxation, gap, m_deviations);
        m_items = groupByItem(m_deviations);
        for (std::vector<State>& list : m_lists)
            list.assign(1, State{});
    }

    /// Deals the items to the shorter list until all are dealt or the limit is reached.
    Result<void> deal(const JobContext& context)
    {
        for (; m_dealt < m_items.size(); ++m_dealt) {
            QL_CHECK(context.checkStop());
            std::vector<State>& list = m_lists[0].size() <= m_lists[1].size() ? m_lists[0] : m_lists[1];
            if (list.size() >= m_limit || m_nodes.size() >= kNodesPerState * m_limit ||
                m_visits >= kVisitsPerState * m_limit)
                break;
            extend(list, m_items[m_dealt]);
        }
        return {};
    }
    bool complete() const { return m_dealt == m_items.size(); }
    /// No solution that needs an item which was not dealt has a gap below this.
    double bound() const
    {
        double least = m_gap;
        for (std::size_t i = m_dealt; i < m_items.size(); ++i)
            least = std::min(least, m_items[i].cost);
        return least;
    }

    /// The best pair; returns false if none is better than the gap.
    bool bestPair(std::vector<std::uint32_t>& choice, double& gap) const
    {
        const std::vector<State>& a = m_lists[0];
        const std::vector<State>& b = m_lists[1];
        double least = std::numeric_limits<double>::infinity();
        std::size_t bestA = 0;
        std::size_t bestB = 0;
        std::size_t fits = b.size(); // b[fits − 1] is the largest that fits beside a[i]
        for (std::size_t i = 0; i < a.size(); ++i) {
            while (fits > 0 && b[fits - 1].size > m_relaxation.slack - a[i].size)
                --fits;
            if (fits == 0)
                break;
            const double loss = a[i].loss + b[fits - 1].loss;
            if (loss < least) {
                least = loss;
                bestA = i;
                bestB = fits - 1;
            }
        }
        const double found = least + m_relaxation.multiplier * static_cast<double>(m_relaxation.slack);
        if (!(found < gap))
            return false;
        gap = std::max(0.0, found);
        choice = m_relaxation.base;
        for (std::uint32_t node : {a[bestA].node, b[bestB].node})
            for (; node != kRoot; node = m_nodes[node].parent)
                choice[m_deviations[m_nodes[node].deviation].item] = m_deviations[m_nodes[node].deviation].option;
        return true;
    }

private:
    /// list := list ∪ (list + deviation) for each deviation of the item, sorted by size, losses falling strictly.
    void extend(std::vector<State>& list, const CoreItem& item)
    {
        m_before = list;
        m_visits += (list.size() + m_before.size()) * (item.end - item.begin);
        for (std::size_t d = item.begin; d < item.end; ++d) {
            const Deviation& deviation = m_deviations[d];
            m_merged.clear();
            m_merged.reserve(list.size() + m_before.size());
            double least = std::numeric_limits<double>::infinity();
            auto kept = list.begin();
            for (const State& state : m_before) {
                const std::int64_t size = state.size + deviation.size;
                const double loss = state.loss + deviation.loss;
                if (!(loss + m_relaxation.multiplier * static_cast<double>(size) < m_gap))
                    continue;
                for (; kept != list.end() && (kept->size < size || (kept->size == size && kept->loss <= loss)); ++kept)
                    append(*kept, least);
                if (loss < least) {
                    append({size, loss, static_cast<std::uint32_t>(m_nodes.size())}, least);
                    m_nodes.push_back({state.node, static_cast<std::uint32_t>(d)});
                }
            }
            for (; kept != list.end(); ++kept)
                append(*kept, least);
            list.swap(m_merged);
        }
    }
    void append(const State& state, double& least)
    {
        if (state.loss < least) {
            least = state.loss;
            m_merged.push_back(state);
        }
    }

    const Relaxation& m_relaxation;
    double m_gap;
    std::size_t m_limit;
    std::vector<Deviation> m_deviations;
    std::vector<CoreItem> m_items;
    std::size_t m_dealt = 0;
    std::size_t m_visits = 0;
    std::vector<State> m_lists[2];
    std::vector<Node> m_nodes;
    std::vector<State> m_before, m_merged;
};

} // namespace

Result<CoreSearch> searchCore(const Relaxation& relaxation, const JobContext& context)
{
    CoreSearch search{.choice = relaxation.base, .gap = 0, .bound = 0, .complete = true};
    if (!relaxation.binds())
        return search;
    search.gap = relaxation.multiplier * static_cast<double>(relaxation.slack);
    for (std::size_t limit = kFirstLimit; search.gap > tolerance(relaxation); limit *= 2) {
        Round round(relaxation, search.gap, limit);
        QL_CHECK(round.deal(context));
        round.bestPair(search.choice, search.gap);
        search.bound = std::max(search.bound, std::min(round.bound(), search.gap));
        if (round.complete())
            break;
        if (limit >= kLastLimit) {
            search.complete = false;
            break;
        }
    }
    return search;
}

Allocation makeAllocation(const AllocationProblem& problem, const Relaxation& relaxation, const CoreSearch& search)
{
    Allocation found = makeAllocation(problem, relaxation, search.choice);
    const double bound = search.complete ? found.loss : relaxation.lowerBound + search.bound;
    found.optimal = search.complete;
    found.lowerBound = std::min(found.loss, std::max(found.lowerBound, bound));
    return found;
}

} // namespace ql::allocation
