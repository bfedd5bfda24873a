// SPDX-License-Identifier: GPL-3.0-or-later
// Correlations against SciPy's, closed forms, and Student's t.
#include "core/base/rank_statistics.h"
#include "core/base/rng.h"
#include "core/base/student_t.h"
#include "tests/support/acceptance.h"

#include <nlohmann/json.hpp>

#include <QTest>

#include <cmath>
#include <fstream>
#include <numbers>

using namespace ql;
using namespace ql::tests;

namespace {

const nlohmann::json& golden()
{
    static const nlohmann::json kGolden = [] {
        std::ifstream file(QL_TEST_DATA "/ranks/ranks.json");
        return nlohmann::json::parse(file);
    }();
    return kGolden;
}

} // namespace

class RankStatisticsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void equalsScipy()
    {
        double farthest = 0;
        for (const auto& known : golden().at("cases")) {
            const auto x = known.at("x").get<std::vector<double>>();
            const auto y = known.at("y").get<std::vector<double>>();
            QVERIFY(averageRanks(x) == known.at("ranks").get<std::vector<double>>());
            for (const auto& [name, statistic] :
                 {std::pair("pearson", &pearson), {"spearman", &spearman}, {"kendall", &kendall}})
                farthest = std::max(farthest, std::fabs(statistic(x, y) - known.at(name).get<double>()));
        }
        QL_AT_MOST("A14", "Pearson, Spearman and Kendall τ-b with ties: farthest from SciPy's", farthest, 1e-12);
    }
    void closedForms()
    {
        const std::vector<double> up{1, 2, 3, 4, 5, 6};
        const std::vector<double> down{6, 5, 4, 3, 2, 1};
        const std::vector<double> squares{1, 4, 9, 16, 25, 36};
        QL_NEAR("A14", "Spearman of a growing function", spearman(up, squares), 1, 0);
        QL_NEAR("A14", "Kendall of a falling function", kendall(squares, down), -1, 1e-15);
        // 1 − 6·Σd²/(n(n² − 1)) with d² = 2, n = 6; one of 15 pairs is discordant
        const std::vector<double> swapped{2, 1, 3, 4, 5, 6};
        QL_NEAR("A14", "Spearman of one swap in six", spearman(up, swapped), 1 - 6.0 * 2 / (6 * 35), 1e-15);
        QL_NEAR("A14", "Kendall of one swap in six", kendall(up, swapped), 13.0 / 15, 1e-15);
        // ties: one pair tied in x of six, none in y, five concordant
        const std::vector<double> tied{1, 1, 2, 3};
        const std::vector<double> four{1, 2, 3, 4};
        QL_NEAR("A14", "Kendall τ-b with one tie in four", kendall(tied, four), 5 / std::sqrt(5.0 * 6), 1e-15);
        QCOMPARE(pearson(up, down), -1.0);
    }
    void undefinedIsNaN()
    {
        const std::vector<double> up{1, 2, 3};
        const std::vector<double> same{2, 2, 2};
        const std::vector<double> holes{1, std::nan(""), 3};
        for (const auto statistic : {&pearson, &spearman, &kendall}) {
            QVERIFY(std::isnan(statistic(up, same)));
            QVERIFY(std::isnan(statistic(holes, up)));
            QVERIFY(std::isnan(statistic(std::span(up).first(1), std::span(up).first(1))));
        }
        const Interval interval = bootstrapInterval(up, same, spearman);
        QVERIFY(std::isnan(interval.low) && std::isnan(interval.high));
    }
    /// Of pairs of normal numbers with correlation ρ nine in ten intervals hold ρ.
    void bootstrapHoldsTheTruth()
    {
        constexpr double kRho = 0.6;
        constexpr int kRuns = 300;
        int held = 0;
        for (int run = 0; run < kRuns; ++run) {
            const CounterRng rng(7, static_cast<std::uint64_t>(run));
            std::vector<double> x;
            std::vector<double> y;
            for (std::uint64_t i = 0; i < 60; ++i) {
                x.push_back(rng.normal(2 * i));
                y.push_back(kRho * x.back() + std::sqrt(1 - kRho * kRho) * rng.normal(2 * i + 1));
            }
            const Interval interval = bootstrapInterval(x, y, pearson, {.draws = 400, .level = 0.9, .seed = 3});
            held += interval.low <= kRho && kRho <= interval.high ? 1 : 0;
            const Interval again = bootstrapInterval(x, y, pearson, {.draws = 400, .level = 0.9, .seed = 3});
            QVERIFY(again.low == interval.low && again.high == interval.high);
        }
        // percentile intervals of 60 pairs are a little narrow
        QVERIFY2(held >= 0.83 * kRuns && held <= 0.95 * kRuns, qPrintable(QString::number(held)));
    }
    void studentEqualsScipy()
    {
        for (const auto& known : golden().at("students")) {
            const auto p = known.at("p").get<double>();
            const auto degrees = known.at("degrees").get<double>();
            const auto t = known.at("t").get<double>();
            const double got = studentQuantile(p, degrees);
            QVERIFY2(std::fabs(got - t) <= 1e-9 * std::fabs(t),
                     qPrintable(QStringLiteral("p %1, %2 degrees: %3").arg(p).arg(degrees).arg(got / t - 1)));
            QVERIFY(std::fabs(studentProbability(t, degrees) - p) <= 1e-9);
        }
        // one degree of freedom is Cauchy's distribution
        QVERIFY(std::fabs(studentProbability(3, 1) - (0.5 + std::atan(3.0) / std::numbers::pi)) < 1e-14);
        QCOMPARE(studentQuantile(0.5, 4), 0.0);
    }
};

QTEST_APPLESS_MAIN(RankStatisticsTest)
#include "rank_statistics_test.moc"
