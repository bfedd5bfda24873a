// SPDX-License-Identifier: GPL-3.0-or-later
// Intervals hold what they should: over many worlds drawn from the prior exactly, in a world that saturates about so.
#include "core/base/rng.h"
#include "core/plan/loss_model.h"
#include "tests/support/acceptance.h"
#include "tests/support/measured_model.h"

#include <QTest>

#include <algorithm>
#include <cmath>

using namespace ql;
using namespace ql::test;
using namespace ql::tests;

namespace {

/// Draws one after the other.
class Draws {
public:
    explicit Draws(std::uint64_t stream) : m_rng(11, stream) {}
    double uniform() { return m_rng.uniform(m_next += 2); }
    double normal() { return m_rng.normal(m_next += 2); }

private:
    CounterRng m_rng;
    std::uint64_t m_next = 0;
};

MeasuredPlan plan(double sum, double measured, double floor = 0)
{
    return {.predicted = {.sum = sum, .sumError = 0, .floor = floor},
            .measured = measured,
            .standardError = 0,
            .shares = {}};
}

/// Above 1 a token's distribution is lost and can hardly be lost more.
double saturating(double sum)
{
    return 1.2 * -std::expm1(-sum / 1.2);
}

std::vector<MeasuredPlan> saturatingPlans(Draws& draws, int count, double residual, double floor)
{
    std::vector<MeasuredPlan> plans;
    for (int i = 0; i < count; ++i) {
        const double sum = std::exp(std::log(0.01) + draws.uniform() * std::log(100.0));
        plans.push_back(plan(sum, floor + saturating(sum) * std::exp(residual * draws.normal()), floor));
    }
    return plans;
}

} // namespace

class LossModelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void withoutPlansThePriorSays()
    {
        const LossModel model({});
        const Prediction prediction = model.predict({.sum = 0.05, .sumError = 0, .floor = 0});
        QCOMPARE(prediction.plans, 0);
        QVERIFY(std::fabs(prediction.value - 0.05) < 1e-15);
        // Student t of 2 degrees, 0.95: 2.919986; √(0.15² + 0.4²) = 0.4272
        const double factor = std::exp(2.91998558 * std::hypot(0.15, 0.4));
        QVERIFY(std::fabs(prediction.high / 0.05 - factor) < 1e-6);
        QVERIFY(std::fabs(0.05 / prediction.low - factor) < 1e-6);
        // the sum's own error and the floor's widen it
        QVERIFY(model.predict({.sum = 0.05, .sumError = 0.02, .floor = 0}).high > prediction.high);
        const Prediction floored = model.predict({.sum = 0.05, .sumError = 0, .floor = 0.01});
        QVERIFY(std::fabs(floored.value - 0.06) < 1e-15);
        QVERIFY(floored.high - floored.value > prediction.high - prediction.value);
    }
    /// The prior and the data of one family: 90 % of the intervals hold the next measurement, whatever the number of
    /// plans.
    void holdsNineInTenOfWorldsFromThePrior()
    {
        constexpr int kWorlds = 4000;
        const LossModelSettings settings{.level = 0.9,
                                         .isAbsolute = true,
                                         .residual = 0.15,
                                         .priorDegrees = 2,
                                         .scaleSpread = 0.4,
                                         .slopeSpread = 0.2,
                                         .bendSpread = 1e-9};
        int held = 0;
        for (int world = 0; world < kWorlds; ++world) {
            Draws draws(static_cast<std::uint64_t>(world));
            const double chi = draws.normal();
            const double square = draws.normal();
            const double residual = settings.residual * std::sqrt(2 / (chi * chi + square * square));
            const double scale = residual / settings.residual;
            const double alpha = scale * settings.scaleSpread * draws.normal();
            const double beta = scale * settings.slopeSpread * draws.normal();
            std::vector<double> logs;
            double center = 0;
            const int count = world % 13;
            for (int i = 0; i < count; ++i) {
                logs.push_back(-3 + draws.normal());
                center += logs.back() / count;
            }
            logs.push_back(count > 0 ? -3 + draws.normal() : 0); // the next one
            std::vector<double> measured;
            for (const double log : logs)
                measured.push_back(
                    std::exp(log + alpha + (count > 0 ? beta * (log - center) : 0) + residual * draws.normal()));
            std::vector<MeasuredPlan> plans;
            for (int i = 0; i < count; ++i)
                plans.push_back(
                    plan(std::exp(logs[static_cast<std::size_t>(i)]), measured[static_cast<std::size_t>(i)]));
            const Prediction prediction =
                LossModel(plans, settings).predict({.sum = std::exp(logs.back()), .sumError = 0, .floor = 0});
            held += prediction.holds(measured.back()) ? 1 : 0;
        }
        // ± 3 standard errors of a share of 4000
        QL_NEAR("A14", "share of nominal 90 % intervals that hold, 4000 worlds of the prior", held / double(kWorlds),
                0.9, 3 * std::sqrt(0.09 / kWorlds));
    }
    void learnsSaturation()
    {
        constexpr int kRuns = 400;
        int held = 0;
        int heldBySum = 0;
        std::vector<double> widths;
        for (int run = 0; run < kRuns; ++run) {
            Draws draws(static_cast<std::uint64_t>(run) + 10'000);
            const LossModel model(saturatingPlans(draws, 20, 0.1, 0.003));
            const MeasuredPlan next = saturatingPlans(draws, 1, 0.1, 0.003).front();
            const Prediction prediction = model.predict(next.predicted);
            held += prediction.holds(next.measured) ? 1 : 0;
            heldBySum += std::fabs(next.predicted.sum + 0.003 - next.measured) <= 0.17 * next.measured ? 1 : 0;
            widths.push_back((prediction.high - prediction.low) / 2 / next.measured);
        }
        std::ranges::sort(widths);
        QVERIFY2(held >= 0.87 * kRuns && held <= 0.97 * kRuns, qPrintable(QString::number(held)));
        QVERIFY(heldBySum < 0.8 * kRuns); // without the curve the same width would miss
        QVERIFY2(widths[kRuns / 2] < 0.25, qPrintable(QString::number(widths[kRuns / 2])));
    }
    /// Against the formula: fit_i = max over a ≤ i of min over b ≥ i of the mean of y_a … y_b.
    void isotonicRegressionIsTheMaxMin()
    {
        for (std::uint64_t run = 0; run < 200; ++run) {
            Draws draws(run + 60'000);
            const auto n = static_cast<std::size_t>(1 + run % 12);
            std::vector<WeightedPoint> points;
            for (std::size_t i = 0; i < n; ++i)
                points.push_back({.x = static_cast<double>(i) + 0.5 * draws.uniform(),
                                  .y = 0.3 * static_cast<double>(i) + draws.normal(),
                                  .weight = 0.2 + draws.uniform()});
            const std::vector<WeightedPoint> levels = isotonicLevels({points.rbegin(), points.rend()});
            std::vector<double> fit;
            for (std::size_t i = 0; i < n; ++i) {
                double most = -1e300;
                for (std::size_t a = 0; a <= i; ++a) {
                    double least = 1e300;
                    for (std::size_t b = i; b < n; ++b) {
                        double sum = 0;
                        double weight = 0;
                        for (std::size_t k = a; k <= b; ++k) {
                            sum += points[k].weight * points[k].y;
                            weight += points[k].weight;
                        }
                        least = std::min(least, sum / weight);
                    }
                    most = std::max(most, least);
                }
                fit.push_back(most);
            }
            std::size_t level = 0;
            for (std::size_t i = 0; i < n; ++i) {
                if (std::fabs(levels[level].y - fit[i]) > 1e-9)
                    ++level;
                QVERIFY(level < levels.size());
                QVERIFY(std::fabs(levels[level].y - fit[i]) <= 1e-9);
            }
            QCOMPARE(level + 1, levels.size());
            for (std::size_t l = 0; l < levels.size(); ++l) {
                QVERIFY(std::fabs(interpolated(levels, levels[l].x) - levels[l].y) <= 1e-12);
                QVERIFY(l == 0 || (levels[l - 1].x < levels[l].x && levels[l - 1].y < levels[l].y));
            }
        }
        QCOMPARE(isotonicLevels({{.x = 1, .y = 2}, {.x = 1, .y = 4}}).size(), std::size_t{1});
    }
    /// A knee that no bend of the curve follows.
    void followsAKnee()
    {
        constexpr int kRuns = 150;
        double squares = 0;
        double squaresOfCurve = 0;
        int held = 0;
        for (int run = 0; run < kRuns; ++run) {
            Draws draws(static_cast<std::uint64_t>(run) + 70'000);
            const auto drawn = [&] {
                const double sum = std::exp(std::log(0.001) + draws.uniform() * std::log(1000.0));
                const double bent = sum > 0.05 ? 0.05 + 0.1 * (sum - 0.05) : sum;
                return plan(sum, bent * std::exp(0.03 * draws.normal()));
            };
            std::vector<MeasuredPlan> plans;
            for (int i = 0; i < 24; ++i)
                plans.push_back(drawn());
            const MeasuredPlan next = drawn();
            LossModelSettings curve;
            curve.isotonic = false;
            const Prediction prediction = LossModel(plans).predict(next.predicted);
            held += prediction.holds(next.measured) ? 1 : 0;
            squares += std::pow(std::log(prediction.value / next.measured), 2);
            squaresOfCurve +=
                std::pow(std::log(LossModel(plans, curve).predict(next.predicted).value / next.measured), 2);
        }
        QVERIFY2(squares < 0.5 * squaresOfCurve, qPrintable(QString::number(squares / squaresOfCurve)));
        QVERIFY2(held >= 0.82 * kRuns && held <= 0.98 * kRuns, qPrintable(QString::number(held)));
    }
    /// Roles whose losses are told too large or too small are corrected by the plans; few plans leave them.
    void rolesAreCorrected()
    {
        constexpr int kRuns = 100;
        const std::vector<double> factors{1, 0.5, 2.5, 1, 0.7, 1};
        double squares = 0;
        double squaresWithout = 0;
        int held = 0;
        for (int run = 0; run < kRuns; ++run) {
            Draws draws(static_cast<std::uint64_t>(run) + 80'000);
            const auto drawn = [&] {
                std::vector<double> shares;
                double all = 0;
                for (std::size_t r = 0; r < factors.size(); ++r)
                    all += shares.emplace_back(draws.uniform());
                double factor = 0;
                for (std::size_t r = 0; r < factors.size(); ++r) {
                    shares[r] /= all;
                    factor += shares[r] * factors[r];
                }
                MeasuredPlan one = plan(std::exp(draws.normal() - 3), 0);
                one.measured = one.predicted.sum * factor * std::exp(0.03 * draws.normal());
                one.shares = shares;
                return one;
            };
            std::vector<MeasuredPlan> plans;
            for (int i = 0; i < 40; ++i)
                plans.push_back(drawn());
            const MeasuredPlan next = drawn();
            LossModelSettings settings;
            settings.roles = factors.size();
            const Prediction with = LossModel(plans, settings).predict(next.predicted, 0, next.shares);
            const Prediction without = LossModel(plans).predict(next.predicted);
            held += with.holds(next.measured) ? 1 : 0;
            squares += std::pow(std::log(with.value / next.measured), 2);
            squaresWithout += std::pow(std::log(without.value / next.measured), 2);
            const std::span few = std::span(plans).first(10);
            QCOMPARE(LossModel(few, settings).predict(next.predicted, 0, next.shares).value,
                     LossModel(few).predict(next.predicted).value);
        }
        QVERIFY2(squares < 0.6 * squaresWithout, qPrintable(QString::number(squares / squaresWithout)));
        QVERIFY2(held >= 0.8 * kRuns, qPrintable(QString::number(held)));
        QCOMPARE(roleCount(std::vector<std::string>{"q_proj", "up_proj", "block 0", "block 1"}), std::size_t{2});
    }
    void growsAlways()
    {
        for (std::uint64_t run = 0; run < 200; ++run) {
            Draws draws(run + 20'000);
            std::vector<MeasuredPlan> plans;
            for (int i = 0; i < 9; ++i) // measurements that know nothing of the sums, or fall with them
                plans.push_back(plan(std::exp(draws.normal() - 3), std::exp(0.5 * draws.normal() - 3)));
            if (run % 2 == 0)
                for (MeasuredPlan& one : plans)
                    one.measured = 1e-3 / one.predicted.sum;
            const LossModel model(plans);
            double before = 0;
            for (double sum = 1e-5; sum < 50; sum *= 1.1) {
                const Prediction prediction = model.predict({.sum = sum, .sumError = 0, .floor = 0});
                QVERIFY(prediction.value > before);
                QVERIFY(prediction.low <= prediction.value && prediction.value <= prediction.high);
                before = prediction.value;
            }
        }
    }
    void equalPlansEqualBits()
    {
        Draws draws(5);
        const std::vector<MeasuredPlan> plans = saturatingPlans(draws, 12, 0.1, 0.002);
        const PredictedSum sum{.sum = 0.07, .sumError = 0.001, .floor = 0.002};
        const Prediction one = LossModel(plans).predict(sum);
        const Prediction other = LossModel(plans).predict(sum);
        QVERIFY(one.value == other.value && one.low == other.low && one.high == other.high);
        QCOMPARE(one.plans, 12);
    }
    void whatIsNotKnownIsSaid()
    {
        const LossModel model({});
        const Prediction unknown = model.predict({.sum = std::nan(""), .sumError = 0, .floor = 0});
        QVERIFY(std::isnan(unknown.value) && unknown.low == 0 && std::isinf(unknown.high));
        const Prediction nothing = model.predict({.sum = 0, .sumError = 0, .floor = 0.003});
        QCOMPARE(nothing.value, 0.003);
        QVERIFY(nothing.high < 0.0036);
        const std::vector<MeasuredPlan> broken{plan(std::nan(""), 1), plan(1, std::nan("")), plan(0, 1), plan(1, 0)};
        QCOMPARE(LossModel(broken).planCount(), 0);
    }
    /// A sum in another unit says nothing of its own; two plans give it a scale.
    void otherUnitsAreScaled()
    {
        const LossModelSettings settings{.level = 0.9,
                                         .isAbsolute = false,
                                         .residual = 0.15,
                                         .priorDegrees = 2,
                                         .scaleSpread = 0.4,
                                         .slopeSpread = 0.2,
                                         .bendSpread = 0.1};
        const std::vector<MeasuredPlan> plans{plan(1000, 0.02), plan(4000, 0.08), plan(9000, 0.18)};
        QVERIFY(std::isnan(
            LossModel(std::span(plans).first(1), settings).predict({.sum = 1000, .sumError = 0, .floor = 0}).value));
        const Prediction prediction = LossModel(plans, settings).predict({.sum = 2000, .sumError = 0, .floor = 0});
        QVERIFY2(std::fabs(prediction.value - 0.04) < 1e-6, qPrintable(QString::number(prediction.value)));
    }
    void namesTheGroupThatIsWrong()
    {
        Draws draws(77);
        std::vector<MeasuredPlan> plans;
        for (int i = 0; i < 24; ++i) {
            std::vector<double> shares(7);
            double sum = 0;
            for (double& share : shares)
                sum += share = draws.uniform();
            for (double& share : shares)
                share /= sum;
            MeasuredPlan one = plan(0.02 + 0.05 * draws.uniform(), 0);
            one.measured = one.predicted.sum * (1 + 1.5 * shares[4]) * std::exp(0.02 * draws.normal());
            one.shares = shares;
            plans.push_back(one);
        }
        const std::vector<Suspect> suspects = LossModel(plans).suspects();
        QVERIFY(!suspects.empty());
        QCOMPARE(suspects.front().group, std::size_t{4});
        // ln(1 + 1.5 share) is a little flatter than 1.5 share
        QVERIFY2(suspects.front().excess > 0.9 && suspects.front().excess < 1.6,
                 qPrintable(QString::number(suspects.front().excess)));
        QVERIFY(suspects.front().t > 5);
        QVERIFY(LossModel(std::span(plans).first(5)).suspects().empty());
        for (MeasuredPlan& one : plans)
            one.shares.clear();
        QVERIFY(LossModel(plans).suspects().empty());
    }
    void sumsAndSharesOfAPlan()
    {
        Measured small = measured(2, 32, nullptr, "int3:g16 int5:g16");
        for (Cost& cost : small.table.costs)
            cost.standardError = 0.5;
        Plan mixed = keepPlan(small.model);
        QCOMPARE(predictedSum(small.table, mixed).sum, 0.0);
        QCOMPARE(predictedSum(small.table, mixed).sumError, 0.0);
        double sum = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            const Item& item = small.table.items[i];
            for (const std::int64_t layer : item.layers)
                mixed.candidates[static_cast<std::size_t>(layer)] = small.table.candidates[i % 2];
            sum += small.table.at(i, i % 2).loss;
        }
        const PredictedSum predicted = predictedSum(small.table, mixed);
        QVERIFY(std::fabs(predicted.sum - sum) < 1e-12 * sum);
        QVERIFY(std::fabs(predicted.sumError - 1) < 1e-15); // √(4 · 0.5²)
        // Couplings count where both layers are as they have them.
        const auto couplingOf = [&](std::size_t secondColumn) {
            return LayerCoupling{.layers = {small.table.items[0].layers.front(), small.table.items[1].layers.front()},
                                 .candidates = {small.table.candidates[0], small.table.candidates[secondColumn]},
                                 .loss = -0.25 * sum,
                                 .standardError = 0.75};
        };
        const std::vector<LayerCoupling> couplings{couplingOf(1), couplingOf(0)};
        const PredictedSum coupled = predictedSum(small.table, mixed, couplings);
        QVERIFY(std::fabs(coupled.sum - 0.75 * sum) < 1e-12 * sum);
        QVERIFY(std::fabs(coupled.sumError - 1.25) < 1e-15); // √(1 + 0.75²)
        const SharesByGroup shares = sharesOf(small.model, small.table, mixed);
        QCOMPARE(shares.groups.size(), shares.shares.size());
        double roles = 0;
        double blocks = 0;
        for (std::size_t i = 0; i < shares.groups.size(); ++i)
            (shares.groups[i].starts_with("block ") ? blocks : roles) += shares.shares[i];
        QVERIFY(std::fabs(roles - 1) < 1e-12);
        QVERIFY(blocks > 0 && blocks < 1 + 1e-12); // the embedding has none
        QVERIFY(std::ranges::find(shares.groups, "q_proj") != shares.groups.end());
        QCOMPARE(sharesOf(small.model, small.table, keepPlan(small.model)).groups, shares.groups);
    }
};

QTEST_APPLESS_MAIN(LossModelTest)
#include "loss_model_test.moc"
