// SPDX-License-Identifier: GPL-3.0-or-later
// Tokens are drawn as often as their probability says, from those that top-k and top-p leave.
#include "core/model/evaluation/sampling.h"

#include <QTest>

#include <array>
#include <cmath>

using namespace ql;

namespace {

constexpr std::array kLogits{0.5F, 2.0F, -1.0F, 1.5F, 2.0F};
constexpr int kDraws = 20'000;

/// How often each token is drawn.
std::array<double, 5> frequencies(const Sampling& sampling)
{
    std::array<double, 5> counts{};
    for (std::uint64_t i = 0; i < kDraws; ++i)
        counts[static_cast<std::size_t>(sampleToken(kLogits, sampling, i))] += 1.0 / kDraws;
    return counts;
}

} // namespace

class SamplingTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void greedyTakesTheFirstOfTheLargest() { QCOMPARE(sampleToken(kLogits, {}, 7), 1); }

    void frequencies_data()
    {
        QTest::addColumn<double>("temperature");
        QTest::addColumn<qint64>("topK");
        QTest::addColumn<double>("topP");
        QTest::addColumn<QList<int>>("left");
        const QList<int> all{0, 1, 2, 3, 4};
        QTest::newRow("plain") << 1.0 << qint64{0} << 1.0 << all;
        QTest::newRow("hot") << 3.0 << qint64{0} << 1.0 << all;
        QTest::newRow("cold") << 0.4 << qint64{0} << 1.0 << all;
        QTest::newRow("top-k") << 1.0 << qint64{3} << 1.0 << QList<int>{1, 3, 4};
        QTest::newRow("top-k of one, the first of equals") << 1.0 << qint64{1} << 1.0 << QList<int>{1};
        QTest::newRow("top-k beyond all") << 1.0 << qint64{9} << 1.0 << all;
        QTest::newRow("top-p") << 1.0 << qint64{0} << 0.69 << QList<int>{1, 4}; // 0.347 each
        QTest::newRow("top-p that a third token passes") << 1.0 << qint64{0} << 0.75 << QList<int>{1, 3, 4};
        QTest::newRow("top-p of those top-k left") << 1.0 << qint64{3} << 0.76 << QList<int>{1, 4}; // 0.384 each
        QTest::newRow("top-p of almost none") << 1.0 << qint64{0} << 1e-9 << QList<int>{1};
    }
    void frequencies()
    {
        QFETCH(double, temperature);
        QFETCH(qint64, topK);
        QFETCH(double, topP);
        QFETCH(QList<int>, left);
        const auto drawn = ::frequencies({.temperature = temperature, .topK = topK, .topP = topP, .seed = 5});
        double sum = 0;
        for (const int token : left)
            sum += std::exp(static_cast<double>(kLogits[static_cast<std::size_t>(token)]) / temperature);
        for (int token = 0; token < 5; ++token) {
            const auto index = static_cast<std::size_t>(token);
            const double wanted =
                left.contains(token) ? std::exp(static_cast<double>(kLogits[index]) / temperature) / sum : 0;
            const double deviation = std::sqrt(wanted * (1 - wanted) / kDraws);
            QVERIFY2(std::fabs(drawn[index] - wanted) <= 4 * deviation + 1e-9,
                     qPrintable(QStringLiteral("token %1: %2, not %3").arg(token).arg(drawn[index]).arg(wanted)));
        }
    }
    void seedsDiffer()
    {
        const auto drawn = [](std::uint64_t seed) {
            std::vector<std::int64_t> tokens;
            for (std::uint64_t i = 0; i < 64; ++i)
                tokens.push_back(sampleToken(kLogits, {.temperature = 1, .seed = seed}, i));
            return tokens;
        };
        QCOMPARE(drawn(1), drawn(1));
        QVERIFY(drawn(1) != drawn(2));
    }
    void whatIsNoSampling()
    {
        QVERIFY(checkSampling({}));
        QVERIFY(checkSampling({.temperature = 2, .topK = 40, .topP = 0.5}));
        for (const Sampling& wrong :
             {Sampling{.temperature = -1}, Sampling{.temperature = std::nan("")}, Sampling{.topK = -1},
              Sampling{.topP = 0}, Sampling{.topP = 1.1}, Sampling{.topP = std::nan("")}})
            QVERIFY(!checkSampling(wrong));
    }
};

QTEST_APPLESS_MAIN(SamplingTest)
#include "sampling_test.moc"
