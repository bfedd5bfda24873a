// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/solver.h"
#include "tests/support/acceptance.h"
#include "tests/support/allocation_instances.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::tests;

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

/// The least loss within the budget by trying every choice; infinite if nothing fits.
double bruteForce(const AllocationProblem& problem, std::size_t item = 0, std::int64_t size = 0, double loss = 0)
{
    if (item == problem.itemCount())
        return size <= problem.budget ? loss : kInfinite;
    double best = kInfinite;
    for (std::size_t o = problem.offsets[item]; o < problem.offsets[item + 1]; ++o)
        best = std::min(best, bruteForce(problem, item + 1, size + problem.sizes[o], loss + problem.losses[o]));
    return best;
}

/// The same by dynamic programming over sizes 0…budget.
double overSizes(const AllocationProblem& problem)
{
    std::vector<double> best(static_cast<std::size_t>(problem.budget) + 1, 0);
    for (std::size_t i = 0; i < problem.itemCount(); ++i) {
        std::vector<double> next(best.size(), kInfinite);
        for (std::size_t o = problem.offsets[i]; o < problem.offsets[i + 1]; ++o)
            for (auto size = static_cast<std::size_t>(problem.sizes[o]); size < best.size(); ++size)
                next[size] =
                    std::min(next[size], best[size - static_cast<std::size_t>(problem.sizes[o])] + problem.losses[o]);
        best = std::move(next);
    }
    return best.back();
}

/// A small problem with one to four options an item and, by `kind`, few or many distinct sizes and losses.
AllocationProblem smallProblem(std::uint64_t seed)
{
    test::InstanceMaker make(seed);
    const std::int64_t items = make.integer(1, 7);
    const std::int64_t largest = make.integer(0, 2) == 0 ? 1'000'000 : 9;
    const std::int64_t losses = make.integer(0, 3);
    for (std::int64_t i = 0; i < items; ++i, make.endItem()) {
        const std::int64_t options = make.integer(1, 4);
        for (std::int64_t o = 0; o < options; ++o) {
            const std::int64_t size = make.integer(losses == 3 ? -largest : 0, largest);
            const double loss = losses == 0   ? static_cast<double>(make.integer(0, 3))
                                : losses == 1 ? static_cast<double>(2 * largest - size)
                                : losses == 2 ? 0
                                              : make.uniform();
            make.option(size, loss);
        }
    }
    constexpr std::array<double, 6> kShares{0, 1, 0.5, 0.25, 0.75, 0.9};
    AllocationProblem problem = make.finish(kShares[seed % kShares.size()]);
    problem.budget += make.integer(0, 6) == 0 ? -1 : 0;
    return problem;
}

/// Checks what holds of every answer: the sums, the budget, the bound.
void checkConsistent(const AllocationProblem& problem, const Allocation& found)
{
    QCOMPARE(found.choice.size(), problem.itemCount());
    std::int64_t size = 0;
    double loss = 0;
    for (std::size_t i = 0; i < found.choice.size(); ++i) {
        const std::size_t o = problem.offsets[i] + found.choice[i];
        QVERIFY(o < problem.offsets[i + 1]);
        size += problem.sizes[o];
        loss += problem.losses[o];
    }
    QCOMPARE(found.size, size);
    QVERIFY(std::abs(found.loss - loss) <= 1e-9 * (1 + loss));
    QVERIFY(size <= problem.budget);
    QVERIFY(found.lowerBound <= found.loss);
    QVERIFY(found.shadowPrice >= 0);
}

Result<Allocation> solve(std::string_view solver, const AllocationProblem& problem, std::stop_token stop = {})
{
    Executor executor(1);
    return findSolver(solver).value()->solve(problem, JobContext(executor, std::move(stop)));
}

} // namespace

class SolverTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void agreesWithEveryChoiceTried()
    {
        int infeasible = 0;
        for (std::uint64_t seed = 0; seed < 6000; ++seed) {
            const AllocationProblem problem = smallProblem(seed);
            const double best = bruteForce(problem);
            for (const Solver* solver : allSolvers()) {
                const auto found = solve(solver->id, problem);
                QCOMPARE(found.has_value(), best < kInfinite);
                if (!found) {
                    QCOMPARE(found.error().code, Errc::refused);
                    ++infeasible;
                    continue;
                }
                checkConsistent(problem, *found);
                QVERIFY2(found->loss >= best - 1e-9 * best, qPrintable(QString::number(seed)));
                QVERIFY2(found->lowerBound <= best * (1 + 1e-9), qPrintable(QString::number(seed)));
                if (found->optimal)
                    QVERIFY2(found->loss <= best + 1e-9 * best, qPrintable(QString::number(seed)));
                if (solver->id == "exact")
                    QVERIFY2(found->optimal, qPrintable(QString::number(seed)));
            }
        }
        QVERIFY(infeasible > 100);
    }

    /// Methods B1: four layers at 2, 4 or 8 bits, of which the usual greedy rules find 49 and 45.
    void publishedInstance()
    {
        AllocationProblem problem{.offsets = {0}, .sizes = {}, .losses = {}, .budget = 3200};
        const std::array<std::int64_t, 4> sizes{100, 200, 400, 100};
        const std::array<std::array<double, 3>, 4> losses{{{83, 23, 0}, {23, 5, 0}, {40, 6, 0}, {22, 4, 0}}};
        for (std::size_t layer = 0; layer < 4; ++layer) {
            for (std::size_t o = 0; o < 3; ++o) {
                problem.sizes.push_back(sizes[layer] * (std::int64_t{2} << o));
                problem.losses.push_back(losses[layer][o]);
            }
            problem.offsets.push_back(problem.sizes.size());
        }
        const auto found = solve("exact", problem).value();
        QL_NEAR("B1", "loss of the optimum of the published instance", found.loss, 33, 0);
        QL_NEAR("B1", "bits of the optimum of the published instance", static_cast<double>(found.size), 3200, 0);
        QL_HOLDS("B1", "bits of its layers: 8, 2, 4, 4", (found.choice == std::vector<std::size_t>{2, 0, 1, 1}));
    }

    /// Methods B1: a quarter of FP32 is 8 bits everywhere, an eighth 4; more room never costs more.
    void budgetsOfFractions()
    {
        test::InstanceMaker make(91);
        std::int64_t weights = 0;
        for (int i = 0; i < 20; ++i, make.endItem()) {
            const std::int64_t size = make.integer(1, 1000);
            weights += size;
            make.option(4 * size, 0.1 + make.uniform());
            make.option(8 * size, 0);
        }
        AllocationProblem problem = make.finish(1);
        const auto at = [&](double fraction) {
            problem.budget = static_cast<std::int64_t>(std::floor(32 * fraction * static_cast<double>(weights)));
            return solve("exact", problem).value();
        };
        const auto isAll = [](const Allocation& found, std::size_t option) {
            return std::ranges::all_of(found.choice, [&](std::size_t choice) { return choice == option; });
        };
        QL_HOLDS("B1", "a quarter of FP32: all layers at 8 bits", isAll(at(0.25), 1));
        QL_HOLDS("B1", "an eighth of FP32: all layers at 4 bits", isAll(at(0.125), 0));
        bool isFalling = true;
        double before = kInfinite;
        for (double fraction = 0.13; fraction <= 0.25; fraction += 0.01) {
            const double loss = at(fraction).loss;
            isFalling = isFalling && loss <= before;
            before = loss;
        }
        QL_HOLDS("B1", "loss does not rise with the budget, 0.13 to 0.25 of FP32 by 0.01", isFalling);
    }

    void agreesWithDynamicProgrammingOverSizes()
    {
        for (std::uint64_t seed = 0; seed < 150; ++seed) {
            test::InstanceMaker make(seed + 77);
            const bool alike = seed % 3 == 0;
            const std::int64_t weights = make.integer(1, 9);
            for (int i = 0; i < 60; ++i, make.endItem())
                for (const std::int64_t bits : {2, 3, 4, 6, 8})
                    make.option((alike ? weights : make.integer(1, 9)) * bits,
                                seed % 2 == 0 ? make.uniform() : std::ldexp(1.0, -2 * static_cast<int>(bits)));
            const AllocationProblem problem = make.finish(0.02 + 0.96 * make.uniform());
            const auto found = solve("exact", problem);
            QVERIFY(found);
            checkConsistent(problem, *found);
            QVERIFY(found->optimal);
            const double best = overSizes(problem);
            QVERIFY2(std::abs(found->loss - best) <= 1e-10 * best, qPrintable(QString::number(seed)));
        }
    }

    void provesLargeInstances_data()
    {
        QTest::addColumn<int>("kind");
        for (std::size_t k = 0; k < test::kInstanceClasses.size(); ++k)
            QTest::newRow(test::kInstanceClasses[k].name) << static_cast<int>(k);
    }
    void provesLargeInstances()
    {
        QFETCH(int, kind);
        const test::InstanceClass& instances = test::kInstanceClasses[static_cast<std::size_t>(kind)];
        std::uint64_t seed = 40;
        for (const double share : {0.003, 0.03, 0.2, 0.45, 0.7, 0.95, 0.999}) {
            const AllocationProblem problem = instances.make(5000, 8, ++seed, share);
            const auto found = solve("exact", problem);
            QVERIFY(found);
            checkConsistent(problem, *found);
            QVERIFY(found->optimal);
            QVERIFY(found->loss - found->lowerBound <= 1e-11 * found->loss);
            const auto greedy = solve("greedy", problem);
            QVERIFY(greedy);
            checkConsistent(problem, *greedy);
            QVERIFY(found->loss <= greedy->loss * (1 + 1e-12));
            QVERIFY(greedy->lowerBound <= found->loss * (1 + 1e-12));
        }
    }

    void shadowPriceIsTheSlopeOfTheOptimum()
    {
        AllocationProblem problem = test::randomInstance(3000, 8, 5, 0.3);
        const auto before = solve("exact", problem);
        const std::int64_t more = problem.budget / 1000;
        problem.budget += more;
        const auto after = solve("exact", problem);
        const double slope = (before->loss - after->loss) / static_cast<double>(more);
        QVERIFY(slope <= before->shadowPrice * 1.001);
        QVERIFY(slope >= after->shadowPrice * 0.999);
        problem.budget = std::int64_t{1} << 50;
        QCOMPARE(solve("exact", problem)->shadowPrice, 0.0);
    }

    void malformedProblemsAreErrors()
    {
        AllocationProblem problem{.offsets = {0, 2}, .sizes = {1, 2}, .losses = {2, 1}, .budget = 2};
        QCOMPARE(solve("exact", problem)->loss, 1.0);
        problem.losses[0] = std::numeric_limits<double>::quiet_NaN();
        QCOMPARE(solve("exact", problem).error().code, Errc::usage);
        problem.losses[0] = -1;
        QCOMPARE(solve("exact", problem).error().code, Errc::usage);
        problem.losses = {2, 1};
        problem.offsets = {0, 2, 2};
        QCOMPARE(solve("exact", problem).error().code, Errc::usage);
        problem = {.offsets = {0, 1, 2},
                   .sizes = {std::int64_t{1} << 60, std::int64_t{1} << 60},
                   .losses = {0, 0},
                   .budget = 1};
        QCOMPARE(solve("exact", problem).error().code, Errc::usage);
        problem = {.offsets = {0, 1}, .sizes = {17}, .losses = {0}, .budget = 16};
        const auto refused = solve("exact", problem);
        QCOMPARE(refused.error().code, Errc::refused);
        QVERIFY(refused.error().what.find("17") != std::string::npos);
    }

    void nothingToDecide()
    {
        const auto found = solve("exact", {});
        QVERIFY(found);
        QVERIFY(found->optimal);
        QCOMPARE(found->loss, 0.0);
    }

    void stops()
    {
        std::stop_source source;
        source.request_stop();
        const auto found = solve("exact", test::randomInstance(1000, 8, 1, 0.5), source.get_token());
        QVERIFY(!found);
        QCOMPARE(found.error().code, Errc::cancelled);
    }

    void everySolverIsListed()
    {
        QVERIFY(allSolvers().size() >= 2);
        for (const Solver* solver : allSolvers()) {
            QCOMPARE(findSolver(solver->id).value(), solver);
            QVERIFY(!solver->title.empty());
            QVERIFY(!solver->source.empty());
        }
        QCOMPARE(std::string(allSolvers().front()->id), std::string("exact"));
        QCOMPARE(findSolver("none").error().code, Errc::usage);
    }
};

QTEST_APPLESS_MAIN(SolverTest)
#include "solver_test.moc"
