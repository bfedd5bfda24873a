// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/rng.h"
#include "core/plan/shrunk_couplings.h"

#include <QTest>

#include <cmath>

using namespace ql;

namespace {

LayerCoupling coupling(double loss, double error)
{
    return {.layers = {0, 1}, .candidates = {}, .loss = loss, .standardError = error};
}

} // namespace

class ShrunkCouplingsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    /// mean c² = (9 + 1 + 4 + 2)/4 = 4, mean s² = (1 + 1 + 4 + 6)/4 = 3, so τ² = 1.
    void closedForm()
    {
        const double root = std::sqrt(2.0);
        const auto found = shrunk({coupling(3, 1), coupling(-1, 1), coupling(2, 2), coupling(root, std::sqrt(6.0))});
        QCOMPARE(found.size(), std::size_t{4});
        const std::vector<double> losses{1.5, -0.5, 0.4, root / 7};
        const std::vector<double> variances{0.5, 0.5, 0.8, 6.0 / 7};
        for (std::size_t i = 0; i < 4; ++i) {
            QVERIFY(std::fabs(found[i].loss - losses[i]) < 1e-14);
            QVERIFY(std::fabs(found[i].standardError - std::sqrt(variances[i])) < 1e-14);
            QCOMPARE(found[i].layers[1], 1);
        }
    }
    void exactOnesStayAndNoiseGoes()
    {
        const auto exact = shrunk({coupling(3, 0), coupling(0, 0), coupling(-2, 0)});
        QCOMPARE(exact.size(), std::size_t{3});
        QCOMPARE(exact[0].loss, 3.0);
        QCOMPARE(exact[2].loss, -2.0);
        QCOMPARE(exact[2].standardError, 0.0);
        QVERIFY(shrunk({coupling(1, 2), coupling(-1, 0.5)}).empty());
        QVERIFY(shrunk({coupling(1, 1)}).empty());
        QVERIFY(shrunk({coupling(0, 0)}).empty());
        QVERIFY(shrunk({}).empty());
    }
    /// Of many couplings with noise of their own size about half of the squared error is left.
    void comesNearerToTheTruth()
    {
        const CounterRng rng(7);
        std::vector<double> truth;
        std::vector<LayerCoupling> measured;
        for (std::uint64_t i = 0; i < 4000; ++i) {
            truth.push_back(rng.normal(2 * i));
            measured.push_back(coupling(truth.back() + rng.normal(2 * i + 1), 1));
        }
        const auto found = shrunk(measured);
        QCOMPARE(found.size(), truth.size());
        double before = 0;
        double after = 0;
        for (std::size_t i = 0; i < truth.size(); ++i) {
            before += (measured[i].loss - truth[i]) * (measured[i].loss - truth[i]);
            after += (found[i].loss - truth[i]) * (found[i].loss - truth[i]);
        }
        QVERIFY2(std::fabs(after / before - 0.5) < 0.05, qPrintable(QString::number(after / before)));
        QVERIFY(std::fabs(found[0].standardError - std::sqrt(0.5)) < 0.05);
    }
};

QTEST_APPLESS_MAIN(ShrunkCouplingsTest)
#include "shrunk_couplings_test.moc"
