// SPDX-License-Identifier: GPL-3.0-or-later
// Searched expressions never fall below the best metric alone, and find a product that no metric alone is.
#include "core/base/rank_statistics.h"
#include "core/base/rng.h"
#include "core/sensitivity/correlation.h"
#include "core/sensitivity/proxy_search.h"
#include "tests/support/acceptance.h"

#include <QTest>

#include <algorithm>
#include <cmath>

using namespace ql;
using namespace ql::tests;

namespace {

/// Plans of 40 items with four columns; the truth is Σ truth(cell).
template<typename Truth>
ProxyProblem problemOf(std::size_t plans, const Truth& truth, double noise)
{
    ProxyProblem problem{
        .inputs = {"activation", "gradient", "weight", "error", "size"}, .cells = {}, .plans = {}, .measured = {}};
    const CounterRng rng(3);
    std::uint64_t next = 0;
    for (std::size_t input = 0; input < problem.inputs.size(); ++input) {
        std::vector<double>& cells = problem.cells.emplace_back();
        for (int cell = 0; cell < 160; ++cell)
            cells.push_back(std::exp(1.5 * rng.normal(next++)));
    }
    for (std::size_t p = 0; p < plans; ++p) {
        std::vector<std::size_t>& cells = problem.plans.emplace_back();
        double sum = 0;
        for (std::size_t item = 0; item < 40; ++item) {
            cells.push_back(item * 4 + static_cast<std::size_t>(rng.uniform(1'000'000 + next++) * 4));
            sum += truth(problem, cells.back());
        }
        problem.measured.push_back(sum * std::exp(noise * rng.normal(next++)));
    }
    return problem;
}

} // namespace

class ProxySearchTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void findsAProduct()
    {
        const ProxyProblem problem = problemOf(
            60, [](const ProxyProblem& p, std::size_t cell) { return p.cells[1][cell] * p.cells[3][cell]; }, 0.02);
        Executor executor(1);
        const ProxyResult result = searchProxy(problem, {}, JobContext(executor)).value();
        QVERIFY2(result.spearman > 0.9 && result.bestSeed < 0.8,
                 qPrintable(QStringLiteral("%1 %2").arg(result.spearman).arg(result.bestSeed)));
        QCOMPARE(result.spearman, spearman(proxySums(result.expression, problem), problem.measured));
        QVERIFY(!printProxy(result.expression, problem).empty());
        const ProxyResult again = searchProxy(problem, {}, JobContext(executor)).value();
        QVERIFY(again.expression == result.expression && again.spearman == result.spearman);
    }
    void isElitist()
    {
        bool neverFalls = true;
        for (std::uint64_t seed = 1; seed <= 8; ++seed) {
            const ProxyProblem problem = problemOf(
                30, [seed](const ProxyProblem& p, std::size_t cell) { return p.cells[seed % 5][cell]; }, 0.3);
            Executor executor(1);
            const ProxyResult result =
                searchProxy(problem, {.population = 12, .generations = 6, .tournament = 3, .seed = seed},
                            JobContext(executor))
                    .value();
            double before = result.bestSeed;
            for (const double best : result.bestSoFar) {
                neverFalls = neverFalls && best >= before;
                before = best;
            }
            neverFalls = neverFalls && result.spearman >= result.bestSeed;
        }
        QL_HOLDS("A14", "an elitist search is never below its best seed, nor falls", neverFalls);
    }
    void invalidTreesAreDropped()
    {
        ProxyProblem problem = problemOf(
            20, [](const ProxyProblem& p, std::size_t cell) { return p.cells[0][cell]; }, 0.1);
        problem.cells[2].assign(160, 0); // 1 ÷ 0, and constant
        Executor executor(1);
        const JobContext context(executor);
        ProxyExpression inverse;
        inverse.branches[0] = {.input = 2, .unary = {ProxyUnary::inverse, ProxyUnary::keep}};
        QVERIFY(proxySums(inverse, problem).empty());
        inverse.branches[0].unary[0] = ProxyUnary::keep;
        QVERIFY(proxySums(inverse, problem).empty());
        const ProxyResult result = searchProxy(problem, {}, context).value();
        QVERIFY(result.dropped > 0);
        for (std::vector<double>& cells : problem.cells)
            cells.assign(160, 1);
        QCOMPARE(searchProxy(problem, {}, context).error().code, Errc::refused);
        std::stop_source stop;
        stop.request_stop();
        const ProxyProblem fine = problemOf(
            20, [](const ProxyProblem& p, std::size_t cell) { return p.cells[0][cell]; }, 0.1);
        QCOMPARE(searchProxy(fine, {}, JobContext(executor, stop.get_token())).error().code, Errc::cancelled);
    }
    void correlationsOfSums()
    {
        const std::vector<double> measured{0.1, 0.2, 0.3, 0.4, 0.5, 0.6};
        std::vector<double> sums{1, 2, 3, 4, 5, std::nan("")};
        const MetricCorrelation known = correlationOf("fisher", sums, measured);
        QCOMPARE(known.plans, 5);
        QVERIFY(std::fabs(known.spearman - 1) < 1e-15 && std::fabs(known.kendall - 1) < 1e-15 &&
                std::fabs(known.pearsonLog - 1) < 1e-12);
        sums[0] = -1;
        const MetricCorrelation negative = correlationOf("size", sums, measured);
        QVERIFY(std::isnan(negative.pearsonLog) && negative.spearman == known.spearman);
        const std::vector<MetricCorrelation> both{correlationOf("same", std::vector<double>(6, 1.0), measured), known,
                                                  negative};
        QCOMPARE(bestCorrelation(both), std::optional<std::size_t>(1));
        QVERIFY(!bestCorrelation(std::span(both).first(1)));
    }
    void drawsAreSummedUp()
    {
        std::vector<MetricCorrelation> draws(11);
        for (std::size_t i = 0; i < draws.size(); ++i) {
            draws[i].plans = 9;
            draws[i].spearman = 0.1 * (static_cast<double>(i) - 5);
            draws[i].kendall = draws[i].pearsonLog = 0.5;
        }
        const MetricCorrelation mean = meanOfDraws("random", draws, 0.8);
        QCOMPARE(mean.plans, 9);
        QVERIFY(std::fabs(mean.spearman) < 1e-15);
        QVERIFY(std::fabs(mean.spearmanInterval.low + 0.4) < 1e-15);
        QVERIFY(std::fabs(mean.spearmanInterval.high - 0.4) < 1e-15);
        QCOMPARE(mean.kendall, 0.5);
    }
    void drawnLossesKnowNothing()
    {
        CostTable table{.metric = "fisher",
                        .unit = "nats per token",
                        .items = std::vector<Item>(2),
                        .candidates = std::vector<Candidate>(2),
                        .costs = {},
                        .completed = {}};
        for (int i = 0; i < 4; ++i)
            table.costs.push_back({.loss = i == 3 ? std::nan("") : 1.0, .payloadBits = 100 * i, .standardError = 0});
        const CostTable random = randomLosses(table, 2);
        QCOMPARE(random.metric, std::string("random"));
        QVERIFY(std::isnan(random.costs[3].loss));
        QVERIFY(random.costs[0].loss != random.costs[1].loss);
        QVERIFY(random.costs[0].loss == randomLosses(table, 2).costs[0].loss);
    }
};

QTEST_APPLESS_MAIN(ProxySearchTest)
#include "proxy_search_test.moc"
