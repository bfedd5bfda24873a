// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/relaxation.h"

#include "core/base/checked.h"
#include "core/base/sum.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ql::allocation {

namespace {

constexpr std::int64_t kLargest = std::int64_t{1} << 60;

Result<void> checkItem(const AllocationProblem& problem, std::size_t item)
{
    const auto at = [&] { return "item " + std::to_string(item); };
    if (problem.offsets[item] >= problem.offsets[item + 1])
        return usageError("has no option", at());
    for (std::size_t o = problem.offsets[item]; o < problem.offsets[item + 1]; ++o) {
        if (!std::isfinite(problem.losses[o]) || problem.losses[o] < 0)
            return usageError("has a loss that is negative or not finite", at());
        if (problem.sizes[o] > kLargest || problem.sizes[o] < -kLargest)
            return usageError("has a size beyond 2⁶⁰", at());
    }
    return {};
}

Result<void> checkProblem(const AllocationProblem& problem)
{
    const std::size_t n = problem.itemCount();
    if (n > 0 && (problem.offsets.front() != 0 || problem.offsets.back() != problem.sizes.size() ||
                  problem.sizes.size() != problem.losses.size()))
        return usageError("the offsets, sizes and losses of the allocation problem do not fit together");
    if (problem.sizes.size() >= std::size_t{1} << 31U)
        return usageError("the allocation problem has more than 2³¹ options");
    for (std::size_t i = 0; i < n; ++i)
        QL_CHECK(checkItem(problem, i));
    return {};
}

/// Appends the item's undominated options by size, sizes relative to the smallest; returns the smallest size.
std::int64_t appendUndominated(const AllocationProblem& problem, std::size_t item, std::vector<Option>& all)
{
    const std::size_t first = all.size();
    for (std::size_t o = problem.offsets[item]; o < problem.offsets[item + 1]; ++o)
        all.push_back({problem.sizes[o], problem.losses[o], static_cast<std::uint32_t>(o - problem.offsets[item])});
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first);
    std::sort(begin, all.end(), [](const Option& a, const Option& b) {
        if (a.size != b.size)
            return a.size < b.size;
        return a.loss != b.loss ? a.loss < b.loss : a.given < b.given;
    });
    const std::int64_t smallest = begin->size;
    auto kept = begin;
    for (auto next = begin; next != all.end(); ++next) {
        if (next != begin && next->loss >= kept->loss)
            continue;
        if (next != begin)
            ++kept;
        *kept = {next->size - smallest, next->loss, next->given};
    }
    all.erase(kept + 1, all.end());
    return smallest;
}

double slopeBetween(const Option& from, const Option& to)
{
    return (from.loss - to.loss) / static_cast<double>(to.size - from.size);
}

/// Appends the steps of an item's lower hull; their slopes fall strictly as computed, so their order never depends on
/// rounding.
void appendSteps(const Relaxation& relaxation, std::uint32_t item, std::vector<Step>& steps)
{
    const std::uint32_t first = relaxation.offsets[item];
    const std::size_t floor = steps.size();
    std::uint32_t from = first;
    for (std::uint32_t to = first + 1; to < relaxation.offsets[item + 1]; ++to) {
        while (steps.size() > floor) {
            const std::uint32_t before = steps.size() - floor > 1 ? steps[steps.size() - 2].to : first;
            if (slopeBetween(relaxation.options[from], relaxation.options[to]) < steps.back().slope)
                break;
            steps.pop_back();
            from = before;
        }
        steps.push_back({slopeBetween(relaxation.options[from], relaxation.options[to]),
                         relaxation.options[to].size - relaxation.options[from].size, item, to});
        from = to;
    }
}

bool steeper(const Step& a, const Step& b)
{
    if (a.slope != b.slope)
        return a.slope > b.slope;
    return a.item != b.item ? a.item < b.item : a.to < b.to;
}

/// Partitions the steps so that the first `taken` are the steepest that fit together and the next is the first that
/// does not; expected linear time.
void findBreak(Relaxation& relaxation)
{
    std::vector<Step>& steps = relaxation.steps;
    std::size_t low = 0;
    std::size_t high = steps.size();
    std::int64_t left = relaxation.capacity;
    while (low < high) {
        const std::size_t middle = low + (high - low) / 2;
        const auto at = [&](std::size_t i) { return steps.begin() + static_cast<std::ptrdiff_t>(i); };
        std::nth_element(at(low), at(middle), at(high), steeper);
        std::int64_t size = 0;
        for (std::size_t i = low; i <= middle; ++i)
            size += steps[i].size;
        if (size <= left) {
            left -= size;
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    relaxation.taken = low;
    relaxation.slack = left;
}

} // namespace

namespace {

/// Whether the sums of all sizes stay below 2⁶⁰.
bool isWithinRange(const Relaxation& relaxation)
{
    std::optional<std::int64_t> largest = relaxation.smallestSize;
    for (std::size_t i = 0; i + 1 < relaxation.offsets.size() && largest; ++i) {
        const auto above = mulChecked(relaxation.options[relaxation.offsets[i + 1] - 1].size, relaxation.unit);
        largest = above ? addChecked(*largest, *above) : std::nullopt;
    }
    return largest && *largest <= kLargest && relaxation.smallestSize >= -kLargest;
}

Error tooLarge()
{
    return usageError("the sizes of the allocation problem add up to more than 2⁶⁰");
}

Result<void> takeBudget(Relaxation& relaxation, std::int64_t budget)
{
    if (std::abs(budget) > 2 * kLargest)
        return tooLarge();
    if (relaxation.smallestSize > budget)
        return refused("even the smallest choice needs " + std::to_string(relaxation.smallestSize) +
                       ", the budget is " + std::to_string(budget));
    relaxation.capacity = (budget - relaxation.smallestSize) / relaxation.unit;
    return {};
}

/// From the steps taken to the relaxation's choice and bound.
void finish(Relaxation& relaxation)
{
    relaxation.multiplier = relaxation.taken < relaxation.steps.size() ? relaxation.steps[relaxation.taken].slope : 0;
    relaxation.base.assign(relaxation.offsets.begin(), relaxation.offsets.end() - 1);
    for (std::size_t s = 0; s < relaxation.taken; ++s) {
        std::uint32_t& choice = relaxation.base[relaxation.steps[s].item];
        choice = std::max(choice, relaxation.steps[s].to);
    }
    CompensatedSum loss;
    for (const std::uint32_t choice : relaxation.base)
        loss.add(relaxation.options[choice].loss);
    relaxation.baseLoss = loss.value();
    loss.add(-relaxation.multiplier * static_cast<double>(relaxation.slack));
    relaxation.lowerBound = std::max(0.0, loss.value());
}

void sumSteps(Relaxation& relaxation)
{
    relaxation.reached.assign(1, 0);
    relaxation.reached.reserve(relaxation.steps.size() + 1);
    for (const Step& step : relaxation.steps)
        relaxation.reached.push_back(relaxation.reached.back() + step.size);
}

/// Counts sizes in a unit that divides the present one.
void refineUnit(Relaxation& relaxation, std::int64_t unit)
{
    const std::int64_t factor = relaxation.unit / unit;
    if (factor == 1)
        return;
    relaxation.unit = unit;
    for (Option& option : relaxation.options)
        option.size *= factor;
    for (Step& step : relaxation.steps) {
        step.size *= factor;
        step.slope /= static_cast<double>(factor);
    }
    std::ranges::sort(relaxation.steps, steeper); // rounding may have made slopes equal
}

/// All that does not depend on the budget.
Result<Relaxation> relaxAnyBudget(const AllocationProblem& problem)
{
    QL_CHECK(checkProblem(problem));
    Relaxation relaxation;
    const std::size_t n = problem.itemCount();
    relaxation.options.reserve(problem.sizes.size());
    relaxation.offsets.reserve(n + 1);
    relaxation.offsets.push_back(0);
    std::optional<std::int64_t> smallest = 0;
    for (std::size_t i = 0; i < n && smallest; ++i) {
        relaxation.smallest.push_back(appendUndominated(problem, i, relaxation.options));
        smallest = addChecked(*smallest, relaxation.smallest.back());
        relaxation.offsets.push_back(static_cast<std::uint32_t>(relaxation.options.size()));
    }
    if (!smallest)
        return tooLarge();
    relaxation.smallestSize = *smallest;
    if (!isWithinRange(relaxation))
        return tooLarge();

    std::int64_t unit = 0;
    for (const Option& option : relaxation.options)
        unit = std::gcd(unit, option.size);
    relaxation.unit = std::max<std::int64_t>(unit, 1);
    if (relaxation.unit > 1)
        for (Option& option : relaxation.options)
            option.size /= relaxation.unit;

    relaxation.steps.reserve(relaxation.options.size());
    for (std::size_t i = 0; i < n; ++i)
        appendSteps(relaxation, static_cast<std::uint32_t>(i), relaxation.steps);
    return relaxation;
}

} // namespace

Result<Relaxation> relax(const AllocationProblem& problem)
{
    QL_TRY(relaxation, relaxAnyBudget(problem));
    QL_CHECK(takeBudget(relaxation, problem.budget));
    findBreak(relaxation);
    finish(relaxation);
    return relaxation;
}

void orderSteps(Relaxation& relaxation)
{
    std::ranges::sort(relaxation.steps, steeper);
    sumSteps(relaxation);
}

Result<void> setBudget(Relaxation& relaxation, std::int64_t budget)
{
    QL_CHECK(takeBudget(relaxation, budget));
    const auto beyond = std::ranges::upper_bound(relaxation.reached, relaxation.capacity);
    relaxation.taken = static_cast<std::size_t>(beyond - relaxation.reached.begin()) - 1;
    relaxation.slack = relaxation.capacity - relaxation.reached[relaxation.taken];
    finish(relaxation);
    return {};
}

Result<void> replaceItem(Relaxation& relaxation, const AllocationProblem& problem, std::size_t item,
                         std::optional<std::size_t> only)
{
    QL_CHECK(checkItem(problem, item));
    std::vector<Option> options;
    std::int64_t smallest = appendUndominated(problem, item, options);
    if (only) {
        const std::size_t option = problem.offsets[item] + *only;
        options.assign(1, {0, problem.losses[option], static_cast<std::uint32_t>(*only)});
        smallest = problem.sizes[option];
    }
    std::int64_t unit = relaxation.unit;
    for (const Option& option : options)
        unit = std::gcd(unit, option.size);
    refineUnit(relaxation, unit);
    for (Option& option : options)
        option.size /= unit;
    const std::uint32_t begin = relaxation.offsets[item];
    const std::uint32_t end = relaxation.offsets[item + 1];
    const auto grown = static_cast<std::uint32_t>(options.size()) - (end - begin); // modulo 2³²
    const auto at = [&](std::uint32_t option) {
        return relaxation.options.begin() + static_cast<std::ptrdiff_t>(option);
    };
    relaxation.options.insert(relaxation.options.erase(at(begin), at(end)), options.begin(), options.end());
    for (std::size_t i = item + 1; i < relaxation.offsets.size(); ++i)
        relaxation.offsets[i] += grown;
    relaxation.smallestSize += smallest - relaxation.smallest[item];
    relaxation.smallest[item] = smallest;
    if (!isWithinRange(relaxation))
        return tooLarge();

    std::erase_if(relaxation.steps, [&](const Step& step) { return step.item == item; });
    for (Step& step : relaxation.steps)
        if (step.item > item)
            step.to += grown;
    const auto others = static_cast<std::ptrdiff_t>(relaxation.steps.size());
    appendSteps(relaxation, static_cast<std::uint32_t>(item), relaxation.steps);
    std::inplace_merge(relaxation.steps.begin(), relaxation.steps.begin() + others, relaxation.steps.end(), steeper);
    sumSteps(relaxation);
    return {};
}

Allocation makeAllocation(const AllocationProblem& problem, const Relaxation& relaxation,
                          const std::vector<std::uint32_t>& choice)
{
    Allocation allocation;
    allocation.choice.reserve(choice.size());
    CompensatedSum loss;
    for (std::size_t i = 0; i < choice.size(); ++i) {
        const std::uint32_t given = relaxation.options[choice[i]].given;
        const std::size_t option = problem.offsets[i] + given;
        allocation.choice.push_back(given);
        allocation.size += problem.sizes[option];
        loss.add(problem.losses[option]);
    }
    allocation.loss = loss.value();
    allocation.lowerBound = std::min(relaxation.lowerBound, allocation.loss);
    allocation.optimal = allocation.loss - allocation.lowerBound <= tolerance(relaxation);
    allocation.shadowPrice = relaxation.multiplier / static_cast<double>(relaxation.unit);
    return allocation;
}

double tolerance(const Relaxation& relaxation)
{
    return 1e-12 * relaxation.lowerBound + 1e-15 * relaxation.baseLoss;
}

std::vector<std::uint32_t> fillGreedily(const Relaxation& relaxation)
{
    std::vector<Step> rest(relaxation.steps.begin() + static_cast<std::ptrdiff_t>(relaxation.taken),
                           relaxation.steps.end());
    std::sort(rest.begin(), rest.end(), steeper);
    std::vector<std::uint32_t> choice = relaxation.base;
    std::int64_t left = relaxation.slack;
    for (const Step& step : rest) {
        // A skipped step of the item makes the later ones longer.
        const std::int64_t size = relaxation.options[step.to].size - relaxation.options[choice[step.item]].size;
        if (size > left)
            continue;
        left -= size;
        choice[step.item] = step.to;
    }
    return choice;
}

} // namespace ql::allocation
