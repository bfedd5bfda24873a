// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/joint_front.h"
#include "core/allocation/plan_front.h"
#include "core/allocation/side_sums.h"
#include "core/allocation/warm_solver.h"
#include "tests/support/allocation_instances.h"
#include "tests/support/fused_target.h"
#include "tests/support/measured_model.h"

#include <QTest>

#include <cmath>
#include <limits>

using namespace ql;

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

/// The least loss of each total size up to the largest, by dynamic programming; sizes are small and not negative.
std::vector<double> leastLosses(const AllocationProblem& problem)
{
    std::size_t largest = 0;
    for (std::size_t i = 0; i < problem.itemCount(); ++i)
        largest += static_cast<std::size_t>(
            *std::max_element(problem.sizes.begin() + static_cast<std::ptrdiff_t>(problem.offsets[i]),
                              problem.sizes.begin() + static_cast<std::ptrdiff_t>(problem.offsets[i + 1])));
    std::vector<double> best(largest + 1, 0);
    for (std::size_t i = 0; i < problem.itemCount(); ++i) {
        std::vector<double> next(best.size(), kInfinite);
        for (std::size_t o = problem.offsets[i]; o < problem.offsets[i + 1]; ++o)
            for (auto size = static_cast<std::size_t>(problem.sizes[o]); size < best.size(); ++size)
                next[size] =
                    std::min(next[size], best[size - static_cast<std::size_t>(problem.sizes[o])] + problem.losses[o]);
        best = std::move(next);
    }
    return best;
}

/// Sum over the choice, and whether the sums are the point's.
void checkSums(const AllocationProblem& problem, std::span<const std::size_t> choice, std::int64_t size, double loss)
{
    QCOMPARE(choice.size(), problem.itemCount());
    std::int64_t sizes = 0;
    double losses = 0;
    for (std::size_t i = 0; i < choice.size(); ++i) {
        const std::size_t o = problem.offsets[i] + choice[i];
        QVERIFY(o < problem.offsets[i + 1]);
        sizes += problem.sizes[o];
        losses += problem.losses[o];
    }
    QCOMPARE(sizes, size);
    QVERIFY(std::abs(losses - loss) <= 1e-9 * (1 + losses));
}

Result<Front> frontOf(const AllocationProblem& problem, const FrontSettings& settings = {}, int threads = 2)
{
    Executor executor(threads);
    return paretoFront(problem, settings, JobContext(executor));
}

AllocationProblem smallSizes(std::uint64_t seed)
{
    test::InstanceMaker make(seed);
    for (int i = 0; i < 25; ++i, make.endItem())
        for (int o = 0; o < 5; ++o)
            make.option(make.integer(1, 30), make.uniform());
    return make.finish(0.5);
}

/// Six items of three options, coupled with their neighbours, and every choice of them.
struct CoupledItems {
    AllocationProblem problem;
    JointTerms terms;
    std::vector<Way> ways; // none for two seeds of three

    explicit CoupledItems(std::uint64_t seed)
    {
        test::InstanceMaker make(seed);
        SideConstraint first{.name = "first", .amounts = {}, .atMost = 3.2};
        SideConstraint second{.name = "second", .amounts = {}, .atMost = 3.0};
        for (int i = 0; i < 6; ++i, make.endItem())
            for (int o = 0; o < 3; ++o) {
                make.option(make.integer(1, 20), make.uniform());
                first.amounts.push_back(make.uniform());
                second.amounts.push_back(make.uniform());
            }
        problem = make.finish(1);
        for (std::size_t i = 0; i + 1 < 6; ++i) {
            PairTerm pair{.first = i, .second = i + 1, .losses = {}};
            for (int k = 0; k < 9; ++k)
                pair.losses.push_back(0.5 * make.normal());
            terms.pairs.push_back(std::move(pair));
        }
        for (std::size_t o = 0; seed % 2 == 0 && o < problem.losses.size(); ++o)
            terms.own.push_back(0.3 * make.normal());
        if (seed % 3 == 1)
            problem.sides.push_back(first);
        if (seed % 3 == 2)
            ways = {{first}, {second}};
    }

    std::int64_t sizeOf(std::span<const std::size_t> choice) const
    {
        std::int64_t size = 0;
        for (std::size_t i = 0; i < choice.size(); ++i)
            size += problem.sizes[problem.offsets[i] + choice[i]];
        return size;
    }
    double lossOf(std::span<const std::size_t> choice) const { return test::jointLoss(problem, terms, choice); }
    bool keeps(std::span<const std::size_t> choice, const Way& way) const
    {
        AllocationProblem its = problem;
        its.sides.insert(its.sides.end(), way.begin(), way.end());
        return allocation::keepsLimits(its, choice);
    }
    /// The least loss up to each size from 0 to that of the largest choice.
    std::vector<double> leastUpTo() const
    {
        std::vector<double> least(6 * 20 + 1, kInfinite);
        std::vector<std::size_t> choice(6, 0);
        for (int number = 0; number < 729; ++number) {
            int rest = number;
            for (std::size_t i = 0; i < 6; ++i, rest /= 3)
                choice[i] = static_cast<std::size_t>(rest % 3);
            const bool fits = ways.empty() ? keeps(choice, {}) : keeps(choice, ways[0]) || keeps(choice, ways[1]);
            double& of = least[static_cast<std::size_t>(sizeOf(choice))];
            of = fits ? std::min(of, lossOf(choice)) : of;
        }
        for (std::size_t size = 1; size < least.size(); ++size)
            least[size] = std::min(least[size], least[size - 1]);
        return least;
    }
};

} // namespace

class ParetoTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void everyPointIsTheOptimumOfItsSize()
    {
        for (std::uint64_t seed = 0; seed < 20; ++seed) {
            const AllocationProblem problem = smallSizes(seed);
            const std::vector<double> least = leastLosses(problem);
            const auto front = frontOf(problem, {.budgets = 60, .from = {}, .to = {}});
            QVERIFY(front);
            QCOMPARE(front->largestGap, 0.0);
            QVERIFY(front->points.size() > 30);
            for (std::size_t p = 0; p < front->points.size(); ++p) {
                const FrontPoint& point = front->points[p];
                checkSums(problem, point.choice, point.size, point.loss);
                QVERIFY(point.optimal);
                QVERIFY(point.lowerBound <= point.loss);
                QVERIFY(std::abs(point.loss - least[static_cast<std::size_t>(point.size)]) <= 1e-12);
                QVERIFY(p == 0 || (point.size > front->points[p - 1].size && point.loss < front->points[p - 1].loss));
            }
            QVERIFY(std::abs(front->points.back().loss - least.back()) <= 1e-12);
        }
    }

    /// Each vertex is the optimum of its size, and no choice lies below the hull.
    void hullIsConvexAndOptimal()
    {
        for (std::uint64_t seed = 30; seed < 40; ++seed) {
            const AllocationProblem problem = smallSizes(seed);
            const std::vector<double> least = leastLosses(problem);
            const auto front = frontOf(problem, {.budgets = 2, .from = {}, .to = {}});
            QVERIFY(front);
            QVERIFY(front->hull.size() > 10);
            double before = kInfinite;
            for (std::size_t v = 0; v < front->hull.size(); ++v) {
                const HullPoint& vertex = front->hull[v];
                checkSums(problem, choiceAtHull(*front, v), vertex.size, vertex.loss);
                QVERIFY(std::abs(vertex.loss - least[static_cast<std::size_t>(vertex.size)]) <= 1e-12);
                if (v == 0)
                    continue;
                const HullPoint& last = front->hull[v - 1];
                const double slope = (last.loss - vertex.loss) / static_cast<double>(vertex.size - last.size);
                QVERIFY(slope > 0 && slope <= before * (1 + 1e-9));
                before = slope;
            }
        }
    }

    /// Optima of their sizes where all coupled items are in one block; bounds, and better than sums alone, where not.
    void couplingsAreInEveryPoint()
    {
        Executor executor(2);
        const JobContext context(executor);
        const FrontSettings settings{.budgets = 25, .from = {}, .to = {}};
        double excess = 0;
        double excessOfSums = 0;
        int partPoints = 0;
        int sumPoints = 0;
        for (std::uint64_t seed = 0; seed < 60; ++seed) {
            const CoupledItems items(seed);
            const std::vector<double> least = items.leastUpTo();
            const auto leastOf = [&](const FrontPoint& point) { return least[static_cast<std::size_t>(point.size)]; };
            const auto whole = jointFront(items.problem, items.terms, settings, context, items.ways);
            const auto parts = jointFront(items.problem, items.terms, settings, context, items.ways, 9);
            QVERIFY2(whole && parts, qPrintable(QString::number(seed)));
            QCOMPARE(whole->leftOut, std::size_t{0});
            QCOMPARE(whole->front.largestGap, 0.0);
            QVERIFY(std::abs(whole->front.points.back().loss - least.back()) <= 1e-9);
            for (const FrontPoint& point : whole->front.points) {
                QVERIFY(point.optimal);
                QVERIFY2(std::abs(point.loss - leastOf(point)) <= 1e-9, qPrintable(QString::number(seed)));
            }
            QVERIFY(parts->leftOut > 0);
            for (const JointFront* found : {&*whole, &*parts}) {
                QVERIFY(found->front.hull.empty());
                for (std::size_t p = 0; p < found->front.points.size(); ++p) {
                    const FrontPoint& point = found->front.points[p];
                    QCOMPARE(items.sizeOf(point.choice), point.size);
                    QVERIFY(point.size <= point.budget);
                    QVERIFY(std::abs(items.lossOf(point.choice) - point.loss) <= 1e-9);
                    QVERIFY(items.keeps(point.choice, items.ways.empty() ? Way{} : items.ways[point.way]));
                    QVERIFY(point.loss >= leastOf(point) - 1e-9);
                    QVERIFY(point.lowerBound <= leastOf(point) + 1e-9);
                    QVERIFY(!point.next);
                    QVERIFY(p == 0 || (point.size > found->front.points[p - 1].size &&
                                       point.loss < found->front.points[p - 1].loss));
                }
            }
            if (!items.ways.empty())
                continue;
            for (const FrontPoint& point : parts->front.points) {
                excess += point.loss - leastOf(point);
                ++partPoints;
            }
            const auto sums = paretoFront(items.problem, settings, context);
            QVERIFY(sums);
            for (const FrontPoint& point : sums->points) {
                excessOfSums += items.lossOf(point.choice) - leastOf(point);
                ++sumPoints;
            }
        }
        QVERIFY2(excess / partPoints < excessOfSums / sumPoints,
                 qPrintable(QString::number(excess / partPoints / (excessOfSums / sumPoints))));
    }

    void nextStepIsWhatTheNextSizeBuys()
    {
        const AllocationProblem problem = test::randomInstance(400, 8, 3, 0.5);
        const auto front = frontOf(problem, {.budgets = 30, .from = {}, .to = {}});
        QVERIFY(front);
        QCOMPARE(front->points.back().next.has_value(), false);
        for (std::size_t p = 0; p + 1 < front->points.size(); ++p) {
            const FrontPoint& point = front->points[p];
            QVERIFY(point.next);
            const std::size_t first = problem.offsets[point.next->item];
            QCOMPARE(point.next->from, point.choice[point.next->item]);
            QCOMPARE(point.next->addedSize,
                     problem.sizes[first + point.next->to] - problem.sizes[first + point.next->from]);
            QCOMPARE(point.next->savedLoss,
                     problem.losses[first + point.next->from] - problem.losses[first + point.next->to]);
            QVERIFY(point.next->addedSize > 0 && point.next->savedLoss > 0);
        }
    }

    void theSameForAnyNumberOfThreads()
    {
        const AllocationProblem problem = test::repeatedSizes(300, 8, 4, 0.5);
        const auto one = frontOf(problem, {.budgets = 40, .from = {}, .to = {}}, 1);
        const auto two = frontOf(problem, {.budgets = 40, .from = {}, .to = {}}, 3);
        QCOMPARE(one->points.size(), two->points.size());
        for (std::size_t p = 0; p < one->points.size(); ++p) {
            QCOMPARE(one->points[p].choice, two->points[p].choice);
            QCOMPARE(one->points[p].loss, two->points[p].loss);
        }
    }

    void onlySizesAskedFor()
    {
        const AllocationProblem problem = smallSizes(7);
        const auto all = frontOf(problem);
        const std::int64_t from = all->points[all->points.size() / 3].size;
        const std::int64_t to = all->points[all->points.size() / 2].size;
        const auto part = frontOf(problem, {.budgets = 5, .from = from, .to = to});
        QCOMPARE(part->points.front().size, from);
        QCOMPARE(part->points.back().size, to);
        QCOMPARE(frontOf(problem, {.budgets = 5, .from = {}, .to = 0}).error().code, Errc::refused);
        QCOMPARE(frontOf(problem, {.budgets = 0, .from = {}, .to = {}}).error().code, Errc::usage);
    }

    void sideConstraintsShiftTheFront()
    {
        AllocationProblem problem = smallSizes(9);
        const auto free = frontOf(problem, {.budgets = 12, .from = {}, .to = {}});
        SideConstraint side{.name = "others", .amounts = {}, .atMost = 0};
        test::InstanceMaker draw(5);
        double sum = 0;
        for (std::size_t o = 0; o < problem.sizes.size(); ++o) {
            side.amounts.push_back(static_cast<double>(draw.integer(0, 20)));
            sum += side.amounts.back() / 5;
        }
        side.atMost = std::floor(0.5 * sum);
        problem.sides.push_back(side);
        const auto limited = frontOf(problem, {.budgets = 12, .from = {}, .to = {}});
        QVERIFY2(limited, limited ? "" : describe(limited.error()).c_str());
        QVERIFY(limited->hull.empty());
        for (const FrontPoint& point : limited->points) {
            double amount = 0;
            for (std::size_t i = 0; i < point.choice.size(); ++i)
                amount += side.amounts[problem.offsets[i] + point.choice[i]];
            QVERIFY(amount <= side.atMost);
        }
        QVERIFY(limited->points.back().loss > free->points.back().loss);
    }

    /// Every point is the best of all choices that keep one of the ways within its size.
    void waysAgreeWithEveryChoiceTried()
    {
        for (std::uint64_t seed = 0; seed < 60; ++seed) {
            test::InstanceMaker make(seed);
            std::vector<Way> ways(3, Way{{.name = "first device", .amounts = {}, .atMost = 12},
                                         {.name = "second device", .amounts = {}, .atMost = 12}});
            for (int i = 0; i < 6; ++i, make.endItem())
                for (int o = 0; o < 3; ++o) {
                    const std::int64_t size = make.integer(1, 8);
                    make.option(size, make.uniform());
                    for (std::size_t way = 0; way < ways.size(); ++way) { // which items are on the second device
                        const bool isOnSecond = i < static_cast<int>(2 * way);
                        ways[way][0].amounts.push_back(isOnSecond ? 0 : static_cast<double>(size));
                        ways[way][1].amounts.push_back(isOnSecond ? static_cast<double>(size) : 0);
                    }
                }
            const AllocationProblem problem = make.finish(1);
            Executor executor(2);
            const auto front = paretoFront(problem, {.budgets = 10, .from = {}, .to = {}}, JobContext(executor), ways);
            std::vector<double> best(50, kInfinite); // of each size
            std::vector<std::size_t> choice(6, 0);
            for (int number = 0; number < 729; ++number) {
                std::int64_t size = 0;
                double loss = 0;
                for (std::size_t i = 0, rest = static_cast<std::size_t>(number); i < 6; ++i, rest /= 3) {
                    choice[i] = rest % 3;
                    size += problem.sizes[problem.offsets[i] + choice[i]];
                    loss += problem.losses[problem.offsets[i] + choice[i]];
                }
                const auto keeps = [&](const Way& way) {
                    return std::ranges::all_of(way, [&](const SideConstraint& side) {
                        double sum = 0;
                        for (std::size_t i = 0; i < 6; ++i)
                            sum += side.amounts[problem.offsets[i] + choice[i]];
                        return sum <= side.atMost;
                    });
                };
                if (std::ranges::any_of(ways, keeps))
                    best[static_cast<std::size_t>(size)] = std::min(best[static_cast<std::size_t>(size)], loss);
            }
            for (std::size_t size = 1; size < best.size(); ++size)
                best[size] = std::min(best[size], best[size - 1]);
            QCOMPARE(front.has_value(), best.back() < kInfinite);
            if (!front)
                continue;
            for (const FrontPoint& point : front->points) {
                QVERIFY(point.optimal);
                QVERIFY(std::abs(point.loss - best[static_cast<std::size_t>(point.size)]) < 1e-12);
                for (const SideConstraint& side : ways[point.way]) {
                    double sum = 0;
                    for (std::size_t i = 0; i < 6; ++i)
                        sum += side.amounts[problem.offsets[i] + point.choice[i]];
                    QVERIFY(sum <= side.atMost);
                }
            }
            QVERIFY(std::abs(front->points.back().loss - best.back()) < 1e-12);
            QCOMPARE(front->largestGap, 0.0);
        }
    }

    void stops()
    {
        std::stop_source source;
        source.request_stop();
        Executor executor(1);
        const auto front = paretoFront(smallSizes(1), {}, JobContext(executor, source.get_token()));
        QCOMPARE(front.error().code, Errc::cancelled);
    }

    // Warm ------------------------------------------------------------------------------------------------------------

    /// Locks, releases and changed items in any order give what a solver that starts anew gives.
    void warmAnswersAreThoseOfExact()
    {
        for (const bool whole : {true, false}) {
            const AllocationProblem original = whole ? smallSizes(11) : test::randomInstance(60, 6, 12, 0.4);
            auto warm = WarmSolver::make(original);
            QVERIFY(warm);
            std::vector<std::optional<std::size_t>> locks(original.itemCount());
            test::InstanceMaker draw(17);
            Executor executor(1);
            const JobContext context(executor);
            for (int move = 0; move < 120; ++move) {
                const auto item =
                    static_cast<std::size_t>(draw.integer(0, static_cast<std::int64_t>(original.itemCount()) - 1));
                const std::size_t begin = warm->problem().offsets[item];
                const std::size_t count = warm->problem().offsets[item + 1] - begin;
                if (move % 7 == 3) {
                    std::vector<std::int64_t> sizes;
                    std::vector<double> losses;
                    for (std::size_t o = 0; o < count; ++o) {
                        sizes.push_back(draw.integer(1, 40));
                        losses.push_back(draw.uniform());
                    }
                    QVERIFY(warm->replace(item, sizes, losses));
                    locks[item].reset();
                } else if (locks[item]) {
                    QVERIFY(warm->unlock(item));
                    locks[item].reset();
                } else {
                    locks[item] = static_cast<std::size_t>(draw.integer(0, static_cast<std::int64_t>(count) - 1));
                    QVERIFY(warm->lock(item, *locks[item]));
                }
                AllocationProblem anew{.offsets = {0}, .sizes = {}, .losses = {}, .budget = 0};
                std::int64_t smallest = 0;
                std::int64_t largest = 0;
                for (std::size_t i = 0; i < original.itemCount(); ++i) {
                    std::int64_t low = std::numeric_limits<std::int64_t>::max();
                    std::int64_t high = 0;
                    for (std::size_t o = warm->problem().offsets[i]; o < warm->problem().offsets[i + 1]; ++o) {
                        if (locks[i] && o - warm->problem().offsets[i] != *locks[i])
                            continue;
                        anew.sizes.push_back(warm->problem().sizes[o]);
                        anew.losses.push_back(warm->problem().losses[o]);
                        low = std::min(low, anew.sizes.back());
                        high = std::max(high, anew.sizes.back());
                    }
                    anew.offsets.push_back(anew.sizes.size());
                    smallest += low;
                    largest += high;
                }
                anew.budget = draw.integer(smallest, largest);
                const auto cold = findSolver("exact").value()->solve(anew, context);
                const auto found = warm->solve(anew.budget, context);
                QVERIFY(cold && found);
                QVERIFY(found->optimal);
                QVERIFY(std::abs(found->loss - cold->loss) <= 1e-12 * (1 + cold->loss));
                checkSums(warm->problem(), found->choice, found->size, found->loss);
                for (std::size_t i = 0; i < locks.size(); ++i)
                    QVERIFY(!locks[i] || found->choice[i] == *locks[i]);
                QVERIFY(!warm->solve(smallest - 1, context));
            }
        }
    }

    void warmRefusesSideConstraints()
    {
        AllocationProblem problem = smallSizes(2);
        problem.sides.push_back({.name = "latency", .amounts = std::vector<double>(problem.sizes.size(), 1)});
        QCOMPARE(WarmSolver::make(problem).error().code, Errc::usage);
    }

    // Plans -----------------------------------------------------------------------------------------------------------

    void plansOfTheFrontAreThoseOfBalance()
    {
        const test::Measured model = test::measured(2, 32, nullptr, "int3:g16 int4:g16 int8:g16 bf16");
        Executor executor(2);
        BalanceRequest request = test::requestFor(model);
        const auto locked = static_cast<std::size_t>(model.table.items[2].layers.front());
        request.start.candidates[locked] = parseCandidate("int4:g16").value();
        request.start.locked[locked] = true;
        const auto front = planFront(model.model, request, {.budgets = 15, .from = {}, .to = {}}, JobContext(executor));
        QVERIFY2(front, front ? "" : describe(front.error()).c_str());
        QVERIFY(!front->inBytes);
        QVERIFY(front->front.points.size() > 5);
        for (const FrontPoint& point : front->front.points) {
            const auto plan = front->problem.planOf(point.choice);
            QVERIFY(plan);
            const double bits = bitsPerWeight(model.model, *plan);
            QCOMPARE(bits, static_cast<double>(point.size) / static_cast<double>(front->weights));
            QVERIFY(std::abs(predictLoss(model.table, *plan) - point.loss) <= 1e-12 * point.loss);
            request.bitsPerWeight = bits + 1e-9;
            const auto solved = test::balanced(model, request);
            QVERIFY(solved);
            QVERIFY(std::abs(solved->predictedLoss - point.loss) <= 1e-12 * point.loss);
        }
    }

    /// The points are those of balance with the same couplings.
    void couplingsOfPlans()
    {
        const test::Measured model = test::measured(1, 32, nullptr, "int3:g16 int8:g16");
        Executor executor(2);
        BalanceRequest request = test::requestFor(model);
        double mean = 0;
        for (const Cost& cost : model.table.costs)
            mean += cost.loss / static_cast<double>(model.table.costs.size());
        std::vector<LayerCoupling> couplings;
        for (std::size_t i = 0; i + 1 < model.table.items.size(); ++i)
            couplings.push_back(
                {.layers = {model.table.items[i].layers.front(), model.table.items[i + 1].layers.front()},
                 .candidates = {model.table.candidates[0], model.table.candidates[0]},
                 .loss = (i % 2 == 0 ? 0.8 : -0.4) * mean,
                 .standardError = 0});
        request.couplings = couplings;
        const auto front = planFront(model.model, request, {.budgets = 12, .from = {}, .to = {}}, JobContext(executor));
        QVERIFY2(front, front ? "" : describe(front.error()).c_str());
        QCOMPARE(front->couplingsLeftOut, std::size_t{0});
        QVERIFY(front->front.points.size() > 3);
        for (const FrontPoint& point : front->front.points) {
            const auto plan = front->problem.planOf(point.choice);
            QVERIFY(plan);
            QVERIFY(std::abs(predictLoss(model.table, *plan) + plannedCoupling(couplings, *plan) - point.loss) <=
                    1e-9 * mean);
            request.bitsPerWeight = bitsPerWeight(model.model, *plan) + 1e-9;
            const auto solved = test::balanced(model, request);
            QVERIFY(solved);
            QVERIFY(std::abs(solved->predictedLoss - point.loss) <= 1e-9 * mean);
        }
    }

    void sizesAreBytesOfTheTargetsFiles()
    {
        const test::Measured model = test::measured(2, 32, &test::kFusedTarget, "int3:g16 int4:g16 int8:g16 bf16 keep");
        Executor executor(2);
        const auto front = planFront(model.model, test::requestFor(model), {.budgets = 15, .from = {}, .to = {}},
                                     JobContext(executor));
        QVERIFY2(front, front ? "" : describe(front.error()).c_str());
        QVERIFY(front->inBytes);
        for (const FrontPoint& point : front->front.points) {
            const auto plan = front->problem.planOf(point.choice);
            QVERIFY(plan);
            const auto bytes = test::fusedFileBytes(model.model, *plan).value();
            QVERIFY2(std::abs(bytes - point.size) <= 512, qPrintable(QString::number(bytes - point.size)));
        }
    }
};

QTEST_APPLESS_MAIN(ParetoTest)
#include "pareto_test.moc"
