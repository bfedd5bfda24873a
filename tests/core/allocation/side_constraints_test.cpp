// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/branch_search.h"
#include "core/allocation/side_sums.h"
#include "tests/support/acceptance.h"
#include "tests/support/allocation_instances.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::tests;

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

Result<Allocation> solve(std::string_view solver, const AllocationProblem& problem, std::stop_token stop = {})
{
    Executor executor(1);
    return solveWith(*findSolver(solver).value(), problem, JobContext(executor, std::move(stop)));
}

/// The least loss of all choices that keep the limits; infinite if none does.
double bruteForce(const AllocationProblem& problem)
{
    std::vector<std::size_t> choice(problem.itemCount(), 0);
    double best = kInfinite;
    for (;;) {
        double loss = 0;
        for (std::size_t i = 0; i < choice.size(); ++i)
            loss += problem.losses[problem.offsets[i] + choice[i]];
        if (loss < best && allocation::keepsLimits(problem, choice))
            best = loss;
        std::size_t i = 0;
        for (; i < choice.size(); ++i) {
            if (++choice[i] < problem.offsets[i + 1] - problem.offsets[i])
                break;
            choice[i] = 0;
        }
        if (i == choice.size())
            return best;
    }
}

/// One to six items of one to four options, two side constraints (the second sometimes a band); tied layers are one
/// item whose amounts add up, a pinned one has one option.
AllocationProblem smallProblem(std::uint64_t seed)
{
    test::InstanceMaker make(seed);
    const std::int64_t items = make.integer(1, 6);
    const bool isWhole = make.integer(0, 1) == 0;
    std::vector<double> first;
    std::vector<double> second;
    for (std::int64_t i = 0; i < items; ++i, make.endItem()) {
        const std::int64_t layers = make.integer(0, 3) == 0 ? make.integer(2, 3) : 1;
        const std::int64_t options = make.integer(0, 5) == 0 ? 1 : make.integer(2, 4);
        for (std::int64_t o = 0; o < options; ++o) {
            std::int64_t size = 0;
            double loss = 0;
            double a = 0;
            double b = 0;
            for (std::int64_t l = 0; l < layers; ++l) {
                size += make.integer(0, isWhole ? 9 : 1'000'000);
                loss += isWhole ? static_cast<double>(make.integer(0, 6)) : make.uniform();
                a += isWhole ? static_cast<double>(make.integer(0, 5)) : make.uniform();
                b += isWhole ? static_cast<double>(make.integer(-3, 3)) : make.normal();
            }
            make.option(size, loss);
            first.push_back(a);
            second.push_back(b);
        }
    }
    AllocationProblem problem = make.finish(0.2 + 0.8 * make.uniform());
    const auto reach = [&](const std::vector<double>& amounts, double share) {
        double least = 0;
        double most = 0;
        for (std::size_t i = 0; i < problem.itemCount(); ++i) {
            const auto [low, high] =
                std::minmax_element(amounts.begin() + static_cast<std::ptrdiff_t>(problem.offsets[i]),
                                    amounts.begin() + static_cast<std::ptrdiff_t>(problem.offsets[i + 1]));
            least += *low;
            most += *high;
        }
        return isWhole ? std::floor(least + share * (most - least)) : least + share * (most - least);
    };
    const double firstLimit = reach(first, 0.1 + 0.8 * make.uniform());
    problem.sides.push_back({.name = "first", .amounts = std::move(first), .atMost = firstLimit});
    const double middle = reach(second, make.uniform());
    const double width = isWhole ? 1 : 0.4;
    SideConstraint band{.name = "second", .amounts = std::move(second), .atMost = middle + width};
    if (make.integer(0, 1) == 0)
        band.atLeast = middle - width;
    problem.sides.push_back(std::move(band));
    return problem;
}

/// A network of layers with bits 2…8, operations and latency.
AllocationProblem network(std::size_t layers, std::uint64_t seed, double share)
{
    test::InstanceMaker make(seed);
    SideConstraint operations{.name = "operations", .amounts = {}, .atMost = 0};
    SideConstraint latency{.name = "latency", .amounts = {}, .atMost = 0};
    double mostOperations = 0;
    double mostLatency = 0;
    for (std::size_t i = 0; i < layers; ++i, make.endItem()) {
        const std::int64_t weights = make.integer(1, 20) * 110'592;
        const double uses = static_cast<double>(make.integer(1, 50));
        const double level = std::exp(2 * make.normal());
        for (const int bits : {2, 3, 4, 5, 6, 8}) {
            make.option(weights * bits + weights / 64 * 16,
                        level * std::pow(4.0, -bits) * (0.9 + 0.2 * make.uniform()));
            operations.amounts.push_back(static_cast<double>(weights) * uses * bits * bits);
            latency.amounts.push_back(1e-6 * static_cast<double>(weights) *
                                      (bits <= 4 ? 1 : 1.7 + 0.1 * make.uniform()));
        }
        mostOperations += operations.amounts.back();
        mostLatency += latency.amounts.back();
    }
    AllocationProblem problem = make.finish(share);
    operations.atMost = 0.3 * mostOperations;
    latency.atMost = 0.8 * mostLatency;
    problem.sides = {std::move(operations), std::move(latency)};
    return problem;
}

} // namespace

class SideConstraintsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void agreesWithEveryChoiceTried()
    {
        int infeasible = 0;
        int wrong = 0;
        int unproven = 0;
        for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
            const AllocationProblem problem = smallProblem(seed);
            const double best = bruteForce(problem);
            const auto found = solve("ilp", problem);
            if (found.has_value() != (best < kInfinite)) {
                ++wrong;
                continue;
            }
            if (!found) {
                QCOMPARE(found.error().code, Errc::refused);
                ++infeasible;
                continue;
            }
            QVERIFY(allocation::keepsLimits(problem, found->choice));
            unproven += found->optimal ? 0 : 1;
            wrong += std::abs(found->loss - best) > 1e-9 * (1 + best) || found->lowerBound > found->loss ? 1 : 0;
        }
        QCOMPARE(unproven, 0);
        QL_NEAR("A1", "10,000 small instances, ties, pins, three limits: answers other than by trying all", wrong, 0,
                0);
        QVERIFY(infeasible > 500 && infeasible < 8000);
    }

    /// More items than can be tried: the optimum by dynamic programming over both sums.
    void agreesWithDynamicProgramming()
    {
        for (std::uint64_t seed = 0; seed < 25; ++seed) {
            test::InstanceMaker make(seed + 500);
            SideConstraint side{.name = "others", .amounts = {}, .atMost = 0};
            for (int i = 0; i < 24; ++i, make.endItem())
                for (int o = 0; o < 5; ++o) {
                    make.option(make.integer(0, 9), make.uniform());
                    side.amounts.push_back(static_cast<double>(make.integer(0, 9)));
                }
            AllocationProblem problem = make.finish(0.2 + 0.05 * static_cast<double>(seed % 10));
            side.atMost = static_cast<double>(60 + 3 * (seed % 8));
            problem.sides.push_back(side);
            const auto sizes = static_cast<std::size_t>(problem.budget) + 1;
            const auto others = static_cast<std::size_t>(side.atMost) + 1;
            std::vector<double> best(sizes * others, 0);
            for (std::size_t i = 0; i < problem.itemCount(); ++i) {
                std::vector<double> next(best.size(), kInfinite);
                for (std::size_t o = problem.offsets[i]; o < problem.offsets[i + 1]; ++o) {
                    const auto size = static_cast<std::size_t>(problem.sizes[o]);
                    const auto other = static_cast<std::size_t>(side.amounts[o]);
                    for (std::size_t s = size; s < sizes; ++s)
                        for (std::size_t a = other; a < others; ++a)
                            next[s * others + a] = std::min(
                                next[s * others + a], best[(s - size) * others + (a - other)] + problem.losses[o]);
                }
                best = std::move(next);
            }
            const auto found = solve("ilp", problem);
            QCOMPARE(found.has_value(), best.back() < kInfinite);
            if (!found)
                continue;
            QVERIFY(allocation::keepsLimits(problem, found->choice));
            QVERIFY2(found->optimal, qPrintable(QString::number(seed)));
            QVERIFY2(std::abs(found->loss - best.back()) <= 1e-12 * (1 + best.back()),
                     qPrintable(QString::number(seed)));
        }
    }

    /// Bounds of larger networks hold against what a second search with other limits of work finds, and are tight.
    void networks()
    {
        for (const double share : {0.2, 0.4, 0.7}) {
            const AllocationProblem problem = network(210, 3, share);
            const auto found = solve("ilp", problem);
            QVERIFY2(found, found ? "" : describe(found.error()).c_str());
            QVERIFY(allocation::keepsLimits(problem, found->choice));
            QVERIFY(found->lowerBound <= found->loss);
            QVERIFY2(found->loss / found->lowerBound - 1 <= 1e-3,
                     qPrintable(QString::number(found->loss / found->lowerBound - 1)));
            AllocationProblem wider = problem;
            wider.sides.pop_back();
            QVERIFY(solve("ilp", wider)->lowerBound <= found->loss);
        }
    }

    /// A group's band: the mean bits stay within 0.02 of what was asked for.
    void bandsHold()
    {
        AllocationProblem problem = network(60, 8, 0.6);
        problem.sides.clear();
        SideConstraint band{.name = "bits of the first half", .amounts = {}, .atMost = 0};
        std::int64_t weights = 0;
        for (std::size_t i = 0; i < problem.itemCount(); ++i)
            for (std::size_t o = problem.offsets[i]; o < problem.offsets[i + 1]; ++o) {
                const bool counts = i < problem.itemCount() / 2;
                band.amounts.push_back(counts ? static_cast<double>(problem.sizes[o]) : 0);
                if (counts && o == problem.offsets[i])
                    weights += problem.sizes[o] * 4 / 9; // 2.25 bits each
            }
        const auto bits = static_cast<double>(weights);
        band.atLeast = (4 - 0.02) * bits;
        band.atMost = (4 + 0.02) * bits;
        problem.sides.push_back(band);
        const auto found = solve("ilp", problem);
        QVERIFY2(found, found ? "" : describe(found.error()).c_str());
        const double mean = allocation::sumOf(band, problem, found->choice) / bits;
        QL_NEAR("B2", "mean bits of a group held in a band around 4", mean, 4, 0.02);
    }

    /// The same choices whether a part is taken from the limits before or told to be fixed.
    void fixedAmountsCount()
    {
        for (std::uint64_t seed = 0; seed < 500; ++seed) {
            const AllocationProblem plain = smallProblem(seed);
            AllocationProblem told = plain;
            for (SideConstraint& side : told.sides) {
                side.fixed = {{.by = "one", .amount = 3}, {.by = "other", .amount = 0.5}};
                side.atMost += 3.5;
                side.atLeast += 3.5;
            }
            const auto expected = solve("ilp", plain);
            const auto found = solve("ilp", told);
            QCOMPARE(found.has_value(), expected.has_value());
            if (!found)
                continue;
            QVERIFY(std::fabs(found->loss - expected->loss) <= 1e-9);
            QVERIFY(std::fabs(allocation::sumOf(told.sides[0], told, found->choice) - 3.5 -
                              allocation::sumOf(plain.sides[0], plain, found->choice)) <= 1e-9);
        }
    }

    void refusalsNameTheLimit()
    {
        AllocationProblem problem = network(10, 1, 0.5);
        const auto exact = solve("exact", problem);
        QCOMPARE(exact.error().code, Errc::usage);
        QVERIFY(exact.error().what.find("operations") != std::string::npos);
        QVERIFY(exact.error().what.find("ilp") != std::string::npos);
        QCOMPARE(std::string(solverFor(problem).id), std::string("ilp"));

        problem.sides[1].atMost = 1e-9;
        const auto tight = solve("ilp", problem);
        QCOMPARE(tight.error().code, Errc::refused);
        QCOMPARE(tight.error().where, std::string("latency"));
        problem.sides[1].atMost = 40;
        problem.sides[1].fixed = {
            {.by = "nothing", .amount = 0}, {.by = "keys", .amount = 32}, {.by = "locks", .amount = 16}};
        const std::string words = solve("ilp", problem).error().what;
        QVERIFY2(words.find(" of 40; of this 32 are fixed by keys, 16 by locks") != std::string::npos, words.c_str());
        QVERIFY(words.find('-') == std::string::npos);
        problem.sides[1].fixed.clear();
        problem.sides[1].atMost = 1e9;
        problem.sides[1].atLeast = 1e8;
        QCOMPARE(solve("ilp", problem).error().where, std::string("latency"));
        problem.sides[1].amounts.pop_back();
        QCOMPARE(solve("ilp", problem).error().code, Errc::usage);
        problem.sides.clear();
        QCOMPARE(std::string(solverFor(problem).id), std::string("exact"));
    }

    void stops()
    {
        std::stop_source source;
        source.request_stop();
        QCOMPARE(solve("ilp", network(100, 2, 0.5), source.get_token()).error().code, Errc::cancelled);
    }

    /// What is given up says what is proven.
    void gapOfAnEndedSearch()
    {
        const AllocationProblem problem = network(120, 5, 0.45);
        Executor executor(1);
        const auto brief = allocation::searchBranches(problem, 1, JobContext(executor));
        QVERIFY(brief);
        QVERIFY(brief->found);
        QVERIFY(brief->bound <= brief->loss);
        const auto longer = allocation::searchBranches(problem, 400'000'000, JobContext(executor));
        QVERIFY(longer->loss <= brief->loss);
        QVERIFY(longer->bound >= brief->bound);
        QVERIFY(brief->bound <= longer->loss);
    }
};

QTEST_APPLESS_MAIN(SideConstraintsTest)
#include "side_constraints_test.moc"
