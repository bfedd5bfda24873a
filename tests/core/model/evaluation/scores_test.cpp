// SPDX-License-Identifier: GPL-3.0-or-later
// Figures made of token scores, against closed forms worked out by hand.
#include "core/model/evaluation/scores.h"

#include <QTest>

#include <cmath>

using namespace ql;

class ScoresTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void perplexityAndItsErrors()
    {
        // NLL 1, 3 | 2, 6: mean 3, variance 3.5; window means 2 and 4.
        std::vector<TokenScore> scores(4);
        scores[0].nll = 1;
        scores[1].nll = 3;
        scores[2].nll = 2;
        scores[3].nll = 6;
        const PerplexityScore result = perplexityOf(scores, 2);
        QCOMPARE(result.tokens, 4);
        QCOMPARE(result.windows, 2);
        QCOMPARE(result.perplexity.value, std::exp(3.0));
        QCOMPARE(result.perplexity.tokenError, std::exp(3.0) * std::sqrt(3.5 / 3));
        QCOMPARE(result.perplexity.windowError, std::exp(3.0) * 1.0);
    }

    void comparison()
    {
        // p = 1/2, q = 1/4 and 3/4: Δp = ∓1/4.
        std::vector<TokenScore> scores(2);
        scores[0] = {std::log(2.0), std::log(4.0), 0.1, true};
        scores[1] = {std::log(2.0), std::log(4.0 / 3), 0.3, false};
        QCOMPARE(comparisonOf(scores, 2).windowKlds, (std::vector{0.1, 0.3}));
        const ComparisonScore result = comparisonOf(scores, 1);
        QCOMPARE(result.windowKlds, std::vector{0.2});
        QCOMPARE(result.kld.value, 0.2);
        QCOMPARE(result.kld.tokenError, 0.1);
        QCOMPARE(result.kld.windowError, 0.0); // one window says nothing of the spread
        QCOMPARE(result.medianKld, 0.2);
        QCOMPARE(result.maxKld, 0.3);
        QCOMPARE(result.sameTop.value, 0.5);
        QVERIFY(std::fabs(result.meanDeltaP.value) < 1e-15);
        QCOMPARE(result.rmsDeltaP.value, 0.25);
        QVERIFY(result.rmsDeltaP.tokenError < 1e-15);
        QCOMPARE(result.lnRatio.value, (std::log(4.0) + std::log(4.0 / 3)) / 2 - std::log(2.0));
        QCOMPARE(result.perplexity.value, std::sqrt(16.0 / 3));
    }

    void errorsOfDifferencesArePaired()
    {
        // Both versions vary from token to token in the same way: the ratio has no error.
        std::vector<TokenScore> scores(6);
        for (std::size_t i = 0; i < scores.size(); ++i)
            scores[i] = {static_cast<double>(i), static_cast<double>(i) + 0.5, 0, true};
        const ComparisonScore result = comparisonOf(scores, 3);
        QCOMPARE(result.lnRatio.value, 0.5);
        QCOMPARE(result.lnRatio.tokenError, 0.0);
        QCOMPARE(result.lnRatio.windowError, 0.0);
        QVERIFY(result.perplexity.tokenError > 0);
    }

    void percentiles()
    {
        const std::vector<double> sorted{0, 1, 2, 3, 4};
        QCOMPARE(percentile(sorted, 0), 0.0);
        QCOMPARE(percentile(sorted, 0.5), 2.0);
        QCOMPARE(percentile(sorted, 0.9), 3.6);
        QCOMPARE(percentile(sorted, 1), 4.0);
        QCOMPARE(percentile({}, 0.5), 0.0);
    }
};

QTEST_APPLESS_MAIN(ScoresTest)
#include "scores_test.moc"
