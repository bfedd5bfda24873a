// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/pareto.h"

#include "core/allocation/branch_search.h"
#include "core/allocation/core_search.h"
#include "core/allocation/side_sums.h"
#include "core/base/sum.h"
#include "core/jobs/parallel.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ql {

namespace {

using allocation::Option;
using allocation::Relaxation;
using allocation::Step;

constexpr std::int64_t kBudgetsPerChunk = 8;
constexpr std::int64_t kWorkPerBudget = allocation::kBranchWork / 20; // under side constraints, over all ways …
constexpr std::int64_t kLeastWork = allocation::kBranchWork / 200;    // … and of one of them

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

FrontPoint pointOf(Allocation found, std::int64_t budget, std::optional<NextStep> next)
{
    return {.size = found.size,
            .loss = found.loss,
            .lowerBound = found.lowerBound,
            .optimal = found.optimal,
            .choice = std::move(found.choice),
            .shadowPrice = found.shadowPrice,
            .next = next,
            .way = 0,
            .budget = budget};
}

/// The problem under the problem's own limits and those of one way, of each way that can be kept at all.
struct LimitedProblem {
    std::size_t way = 0;
    AllocationProblem problem;
};
Result<std::vector<LimitedProblem>> limitedProblems(const AllocationProblem& problem, std::span<const Way> ways)
{
    std::vector<LimitedProblem> limited;
    QL_CHECK(allocation::checkSides(problem));
    if (ways.empty() && !problem.sides.empty())
        limited.push_back({.way = 0, .problem = problem});
    std::optional<Error> first;
    for (std::size_t way = 0; way < ways.size(); ++way) {
        AllocationProblem its = problem;
        its.sides.insert(its.sides.end(), ways[way].begin(), ways[way].end());
        if (const auto kept = allocation::checkSides(its); kept)
            limited.push_back({.way = way, .problem = std::move(its)});
        else if (kept.error().code != Errc::refused)
            return kept.error();
        else if (!first)
            first = kept.error();
    }
    if (limited.empty() && first)
        return *first;
    return limited;
}

/// The best of all ways within the budget; nothing where none was found.
Result<std::optional<FrontPoint>> bestOfWays(std::vector<LimitedProblem>& limited, std::int64_t budget,
                                             const JobContext& context)
{
    const std::int64_t work = std::max(kWorkPerBudget / std::ssize(limited), kLeastWork);
    std::optional<FrontPoint> best;
    double bound = std::numeric_limits<double>::infinity();
    for (auto& [way, problem] : limited) {
        problem.budget = budget;
        QL_TRY(program, allocation::tryProgram(problem, work, context));
        bound = std::min(bound, program.bound);
        if (!program.best || (best && !(program.best->loss < best->loss)))
            continue;
        best = pointOf(std::move(*program.best), budget, std::nullopt);
        best->way = way;
    }
    if (best) {
        best->lowerBound = std::min(bound, best->loss);
        best->optimal = best->optimal && best->lowerBound >= best->loss;
    }
    return best;
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

} // namespace

double FrontPoint::gap() const
{
    if (optimal || !(loss > lowerBound))
        return 0;
    return lowerBound > 0 ? loss / lowerBound - 1 : std::numeric_limits<double>::infinity();
}

void keepFront(std::vector<FrontPoint> points, Front& front)
{
    for (FrontPoint& point : points) {
        // Where the proof was given up, a smaller budget may have found more.
        while (!front.points.empty() && front.points.back().size >= point.size && front.points.back().loss > point.loss)
            front.points.pop_back();
        if (front.points.empty() || point.loss < front.points.back().loss)
            front.points.push_back(std::move(point));
    }
    for (const FrontPoint& point : front.points)
        front.largestGap = std::max(front.largestGap, point.gap());
}

Result<Front> paretoFront(const AllocationProblem& problem, const FrontSettings& settings, const JobContext& context,
                          std::span<const Way> ways)
{
    if (settings.budgets < 1)
        return usageError("a front needs one budget at least");
    AllocationProblem largest = problem; // its budget refuses nothing
    largest.budget = std::int64_t{1} << 60;
    QL_TRY(relaxation, allocation::relax(largest));
    QL_CHECK(context.checkStop());
    allocation::orderSteps(relaxation);
    QL_TRY(limited, limitedProblems(problem, ways));
    Front front;
    addHull(problem, relaxation, front);
    // Under side constraints the least loss may take more than the hull's last vertex.
    std::int64_t last = front.hull.back().size;
    if (!limited.empty()) {
        last = relaxation.smallestSize;
        for (std::size_t i = 0; i < problem.itemCount(); ++i)
            last += *std::max_element(problem.sizes.begin() + static_cast<std::ptrdiff_t>(problem.offsets[i]),
                                      problem.sizes.begin() + static_cast<std::ptrdiff_t>(problem.offsets[i + 1])) -
                    relaxation.smallest[i];
        front.hull.clear();
        front.smallestChoice.clear();
    }
    const std::int64_t from = std::max(settings.from.value_or(relaxation.smallestSize), relaxation.smallestSize);
    const std::int64_t to = std::min(settings.to.value_or(last), last);
    if (to < from)
        return refused("the sizes go from " + std::to_string(relaxation.smallestSize) + " to " + std::to_string(last) +
                       ", of which none was asked for");
    const std::vector<std::int64_t> budgets = spread(from, to, settings.budgets);
    std::vector<std::optional<FrontPoint>> points(budgets.size());
    context.progress().addTotal(static_cast<std::int64_t>(budgets.size()));
    const auto solveSome = [&](std::int64_t begin, std::int64_t end) -> Result<void> {
        Relaxation own = limited.empty() ? relaxation : Relaxation{};
        std::vector<LimitedProblem> each = limited;
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
            QL_CHECK(context.checkStop());
            if (limited.empty()) {
                QL_CHECK(allocation::setBudget(own, budgets[i]));
                QL_TRY(search, allocation::searchCore(own, context));
                points[i] =
                    pointOf(allocation::makeAllocation(problem, own, search), budgets[i], nextStep(own, search.choice));
            } else {
                QL_TRY(point, bestOfWays(each, budgets[i], context));
                if (point)
                    points[i].emplace(*std::move(point));
            }
            context.progress().addDone(1);
        }
        return {};
    };
    QL_CHECK(parallelFor(context, static_cast<std::int64_t>(budgets.size()), kBudgetsPerChunk, solveSome));
    std::vector<FrontPoint> found;
    for (std::optional<FrontPoint>& point : points)
        if (point)
            found.push_back(std::move(*point));
    keepFront(std::move(found), front);
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
