// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/pareto.h"

#include "core/allocation/branch_search.h"
#include "core/allocation/core_search.h"
#include "core/allocation/side_sums.h"
#include "core/base/sum.h"
#include "core/jobs/parallel.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

using allocation::Option;
using allocation::Relaxation;
using allocation::Step;

constexpr std::int64_t kBudgetsPerChunk = 8;
constexpr std::int64_t kWorkPerBudget = allocation::kBranchWork / 20; // under side constraints

/// The vertices of the hull; the steps are in order.
void addHull(const AllocationProblem& problem, const Relaxation& relaxation, Front& front)
{
    CompensatedSum loss;
    for (std::size_t i = 0; i < problem.itemCount(); ++i) {
        const Option& smallest = relaxation.options[relaxation.offsets[i]];
        front.smallestChoice.push_back(smallest.given);
        loss.add(smallest.loss);
    }
    front.hull.reserve(relaxation.steps.size() + 1);
    front.hull.push_back({.size = relaxation.smallestSize, .loss = loss.value(), .item = 0, .option = 0});
    std::vector<std::uint32_t> at(relaxation.offsets.begin(), relaxation.offsets.end() - 1);
    for (const Step& step : relaxation.steps) {
        const Option& before = relaxation.options[at[step.item]];
        const Option& after = relaxation.options[step.to];
        at[step.item] = step.to;
        loss.add(after.loss);
        loss.add(-before.loss);
        front.hull.push_back({.size = front.hull.back().size + step.size * relaxation.unit,
                              .loss = std::max(0.0, loss.value()),
                              .item = step.item,
                              .option = after.given});
    }
}

/// The first step beyond the budget that makes its item larger than the choice has it.
std::optional<NextStep> nextStep(const Relaxation& relaxation, const std::vector<std::uint32_t>& choice)
{
    for (std::size_t s = relaxation.taken; s < relaxation.steps.size(); ++s) {
        const Step& step = relaxation.steps[s];
        const Option& now = relaxation.options[choice[step.item]];
        const Option& then = relaxation.options[step.to];
        if (then.size > now.size)
            return NextStep{.item = step.item,
                            .from = now.given,
                            .to = then.given,
                            .addedSize = (then.size - now.size) * relaxation.unit,
                            .savedLoss = now.loss - then.loss};
    }
    return std::nullopt;
}

FrontPoint pointOf(Allocation found, std::optional<NextStep> next)
{
    return {.size = found.size,
            .loss = found.loss,
            .lowerBound = found.lowerBound,
            .optimal = found.optimal,
            .choice = std::move(found.choice),
            .shadowPrice = found.shadowPrice,
            .next = next};
}

/// `count` budgets from one to the other, both included.
std::vector<std::int64_t> spread(std::int64_t from, std::int64_t to, std::size_t count)
{
    std::vector<std::int64_t> budgets;
    const double width = static_cast<double>(to) - static_cast<double>(from);
    for (std::size_t i = 0; i + 1 < count && to > from; ++i)
        budgets.push_back(from +
                          static_cast<std::int64_t>(width * static_cast<double>(i) / static_cast<double>(count - 1)));
    budgets.push_back(to);
    return budgets;
}

/// Keeps what no smaller point equals in loss; the points come by rising budget.
void keepFront(std::vector<std::optional<FrontPoint>> points, Front& front)
{
    for (std::optional<FrontPoint>& point : points) {
        if (!point)
            continue;
        // Where the proof was given up, a smaller budget may have found more.
        while (!front.points.empty() && front.points.back().size >= point->size &&
               front.points.back().loss > point->loss)
            front.points.pop_back();
        if (front.points.empty() || point->loss < front.points.back().loss)
            front.points.push_back(std::move(*point));
    }
    for (const FrontPoint& point : front.points)
        if (!point.optimal && point.loss > point.lowerBound)
            front.largestGap = std::max(front.largestGap, point.loss / point.lowerBound - 1);
}

} // namespace

Result<Front> paretoFront(const AllocationProblem& problem, const FrontSettings& settings, const JobContext& context)
{
    if (settings.budgets < 1)
        return usageError("a front needs one budget at least");
    AllocationProblem largest = problem; // its budget refuses nothing
    largest.budget = std::int64_t{1} << 60;
    QL_TRY(relaxation, allocation::relax(largest));
    QL_CHECK(context.checkStop());
    allocation::orderSteps(relaxation);
    Front front;
    addHull(problem, relaxation, front);
    // Under side constraints the least loss may take more than the hull's last vertex.
    std::int64_t last = front.hull.back().size;
    if (!problem.sides.empty()) {
        last = relaxation.smallestSize;
        for (std::size_t i = 0; i < problem.itemCount(); ++i)
            last += *std::max_element(problem.sizes.begin() + static_cast<std::ptrdiff_t>(problem.offsets[i]),
                                      problem.sizes.begin() + static_cast<std::ptrdiff_t>(problem.offsets[i + 1])) -
                    relaxation.smallest[i];
    }
    const std::int64_t from = std::max(settings.from.value_or(relaxation.smallestSize), relaxation.smallestSize);
    const std::int64_t to = std::min(settings.to.value_or(last), last);
    if (to < from)
        return refused("the sizes go from " + std::to_string(relaxation.smallestSize) + " to " + std::to_string(last) +
                       ", of which none was asked for");
    const std::vector<std::int64_t> budgets = spread(from, to, settings.budgets);
    std::vector<std::optional<FrontPoint>> points(budgets.size());
    context.progress().addTotal(static_cast<std::int64_t>(budgets.size()));
    QL_CHECK(allocation::checkSides(problem));
    const auto solveSome = [&](std::int64_t begin, std::int64_t end) -> Result<void> {
        Relaxation own = problem.sides.empty() ? relaxation : Relaxation{};
        AllocationProblem one = problem.sides.empty() ? AllocationProblem{} : problem;
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
            QL_CHECK(context.checkStop());
            if (problem.sides.empty()) {
                QL_CHECK(allocation::setBudget(own, budgets[i]));
                QL_TRY(search, allocation::searchCore(own, context));
                points[i] = pointOf(allocation::makeAllocation(problem, own, search), nextStep(own, search.choice));
            } else {
                one.budget = budgets[i];
                auto found = allocation::solveProgram(one, kWorkPerBudget, context);
                if (!found && found.error().code != Errc::refused)
                    return found.error();
                if (found)
                    points[i] = pointOf(std::move(found).value(), std::nullopt);
            }
            context.progress().addDone(1);
        }
        return {};
    };
    QL_CHECK(parallelFor(context, static_cast<std::int64_t>(budgets.size()), kBudgetsPerChunk, solveSome));
    if (!problem.sides.empty()) {
        front.hull.clear();
        front.smallestChoice.clear();
    }
    keepFront(std::move(points), front);
    if (front.points.empty())
        return refused("no choice keeps all limits; raise one of them");
    return front;
}

std::vector<std::size_t> choiceAtHull(const Front& front, std::size_t vertex)
{
    std::vector<std::size_t> choice = front.smallestChoice;
    for (std::size_t v = 1; v <= vertex && v < front.hull.size(); ++v)
        choice[front.hull[v].item] = front.hull[v].option;
    return choice;
}

} // namespace ql
