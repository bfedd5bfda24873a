// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/rng.h"
#include "core/sensitivity/pooled_losses.h"

#include <QTest>

#include <cmath>
#include <limits>

using namespace ql;

class PooledLossesTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    /// Likes that agree, and likes that do not, against the integrals over r and the spread written out.
    void isTheMeanOfThePosterior_data()
    {
        QTest::addColumn<double>("apart");
        for (const double apart : {0.0, 0.1, 0.5})
            QTest::addRow("%g", apart) << apart;
    }
    void isTheMeanOfThePosterior()
    {
        QFETCH(double, apart);
        std::vector<SampledLoss> losses;
        const double predicted[] = {1, 2, 5, 0.1, 0.7};
        for (int i = 0; i < 5; ++i) {
            const double loss = 3 * predicted[i] * std::exp(apart * (i - 2.2));
            losses.push_back({.group = "q_proj 0",
                              .loss = loss,
                              .standardError = 0.2 * loss,
                              .windows = 50,
                              .predicted = predicted[i]});
        }
        const auto pooled = poolLosses(losses);
        constexpr double kV = 0.04;
        for (std::size_t i = 0; i < 5; ++i) {
            double total = 0;
            double first = 0;
            double second = 0;
            for (int t = 0; t < 500; ++t) {
                const double spread = 2 * (t + 0.5) / 500;
                const double each = kV + spread * spread;
                for (int m = 0; m < 800; ++m) {
                    const double r = std::log(3) - 4 + 8 * (m + 0.5) / 800;
                    double logWeight = 0;
                    for (const SampledLoss& loss : losses) {
                        const double y = std::log(loss.loss / loss.predicted) + kV / 2;
                        logWeight -= 0.5 * std::log(each) + 0.5 * (y - r) * (y - r) / each;
                    }
                    // Given both, the loss's logarithm is normal.
                    const double y = std::log(losses[i].loss / losses[i].predicted) + kV / 2;
                    const double b = spread * spread / each;
                    const double mean = r + b * (y - r);
                    const double weight = std::exp(logWeight);
                    total += weight;
                    first += weight * std::exp(mean + b * kV / 2);
                    second += weight * std::exp(2 * mean + 2 * b * kV);
                }
            }
            const double mean = losses[i].predicted * first / total;
            const double error = losses[i].predicted * std::sqrt(second / total - first / total * (first / total));
            QVERIFY2(std::fabs(pooled[i].loss - mean) <= 0.01 * mean,
                     qPrintable(QStringLiteral("%1 %2").arg(pooled[i].loss).arg(mean)));
            QVERIFY2(std::fabs(pooled[i].standardError - error) <= 0.05 * error,
                     qPrintable(QStringLiteral("%1 %2").arg(pooled[i].standardError).arg(error)));
        }
    }

    /// The embedding has no likes: it goes by all layers, and those that are enough go without it.
    void fewLikesGoByTheWiderGroup()
    {
        const double ratios[] = {0.4, 1.1, 0.9, 1.3, 1.0, 0.8, 1.2, 0.7, 1.4};
        std::vector<SampledLoss> losses;
        for (const double ratio : ratios)
            losses.push_back({.group = losses.empty() ? "embedding 0" : "q_proj 0",
                              .loss = ratio,
                              .standardError = 0.5 * ratio,
                              .windows = 8,
                              .predicted = 1,
                              .wider = "0"});
        const auto pooled = poolLosses(losses);
        std::vector<SampledLoss> likes = losses;
        likes.front().group = "q_proj 0";
        const PooledLoss first = poolLosses(likes).front();
        QCOMPARE(pooled[0].loss, first.loss);
        QCOMPARE(pooled[0].standardError, first.standardError);
        QVERIFY(pooled[0].loss > 0.5 && pooled[0].loss < 1);
        const auto others = poolLosses(std::span(losses).subspan(1));
        for (std::size_t i = 0; i < others.size(); ++i)
            QCOMPARE(pooled[i + 1].loss, others[i].loss);
        const auto few = poolLosses(std::span(losses).first(6)); // five of a role are too few as well
        likes.resize(6);
        const auto together = poolLosses(likes);
        for (std::size_t i = 0; i < few.size(); ++i)
            QCOMPARE(few[i].loss, together[i].loss);
    }

    void whatCannotBePooledStaysAsItWas()
    {
        const double nan = std::numeric_limits<double>::quiet_NaN();
        std::vector<SampledLoss> losses;
        for (int i = 0; i < 3; ++i) // too few
            losses.push_back({.group = "few", .loss = 1.0 + i, .standardError = 0.1, .windows = 9, .predicted = 1});
        for (int i = 0; i < 5; ++i)
            losses.push_back({.group = "blind", .loss = 1.0 + i, .standardError = 0.1, .windows = 9, .predicted = nan});
        for (int i = 0; i < 5; ++i)
            losses.push_back({.group = "zero", .loss = 0, .standardError = 0, .windows = 0, .predicted = 0});
        const auto pooled = poolLosses(losses);
        for (std::size_t i = 0; i < losses.size(); ++i) {
            QCOMPARE(pooled[i].loss, losses[i].loss);
            QCOMPARE(pooled[i].standardError, losses[i].standardError);
        }
    }

    /// Layers that differ by a tenth, each known by 32 squares of normal numbers: a quarter of it.
    void isSteadierAndItsErrorIsTrue()
    {
        const CounterRng rng(11);
        std::uint64_t number = 0;
        double sampledSquares = 0;
        double pooledSquares = 0;
        int within = 0;
        int count = 0;
        double bias = 0;
        for (int group = 0; group < 40; ++group) {
            std::vector<SampledLoss> losses;
            std::vector<double> truth;
            for (int layer = 0; layer < 30; ++layer) {
                const double predicted = std::exp(2 * rng.normal(number++));
                truth.push_back(predicted * 0.7 * std::exp(0.1 * rng.normal(number++)));
                constexpr int kWindows = 32;
                double sum = 0;
                double squares = 0;
                for (int s = 0; s < kWindows; ++s) {
                    const double p = rng.normal(number++);
                    sum += truth.back() * p * p;
                    squares += truth.back() * p * p * truth.back() * p * p;
                }
                const double mean = sum / kWindows;
                losses.push_back({.group = "g",
                                  .loss = mean,
                                  .standardError = std::sqrt((squares / kWindows - mean * mean) / (kWindows - 1)),
                                  .windows = kWindows,
                                  .predicted = predicted});
            }
            const auto pooled = poolLosses(losses);
            for (std::size_t i = 0; i < losses.size(); ++i) {
                ++count;
                const double sampled = losses[i].loss / truth[i] - 1;
                const double made = pooled[i].loss / truth[i] - 1;
                sampledSquares += sampled * sampled;
                pooledSquares += made * made;
                bias += made;
                within += std::fabs(pooled[i].loss - truth[i]) <= 2 * pooled[i].standardError;
            }
        }
        QVERIFY(std::sqrt(sampledSquares / count) > 0.2);
        QVERIFY2(std::sqrt(pooledSquares / count) < 0.12,
                 qPrintable(QString::number(std::sqrt(pooledSquares / count))));
        QVERIFY2(std::fabs(bias / count) < 0.03, qPrintable(QString::number(bias / count)));
        QVERIFY2(within > 0.92 * count, qPrintable(QString::number(within)));
    }
};

QTEST_APPLESS_MAIN(PooledLossesTest)
#include "pooled_losses_test.moc"
