// SPDX-License-Identifier: GPL-3.0-or-later
// Ticks at round numbers, labels that tell them apart.
#include "views/charts/axes.h"

#include <QLogValueAxis>
#include <QSet>
#include <QTest>
#include <QValueAxis>

#include <cmath>

using namespace ql::views;

class AxesTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void stepsAreRound()
    {
        QCOMPARE(roundStep(10, 5), 2.0);
        QCOMPARE(roundStep(0.877, 6), 0.2);
        QCOMPARE(roundStep(45, 5), 10.0);
        QCOMPARE(roundStep(1e-9, 4), 5e-10);
        QCOMPARE(roundStep(0, 4), 1.0);
        QCOMPARE(roundStep(INFINITY, 4), 1.0);
    }

    void labelsDiffer_data()
    {
        QTest::addColumn<double>("low");
        QTest::addColumn<double>("high");
        QTest::newRow("weights") << -0.4258 << 0.4512;
        QTest::newRow("tiny") << -3e-7 << 4e-7;
        QTest::newRow("huge") << 0.0 << 3.4e38;
        QTest::newRow("channels") << 0.0 << 4095.0;
        QTest::newRow("decibels") << 0.0 << 45.0;
        QTest::newRow("far from zero") << 1000.0 << 1001.0;
        QTest::newRow("no width") << 3.0 << 3.0;
        QTest::newRow("just below a step") << -4.9 << 4.9;
        QTest::newRow("beside a step") << 0.1 << 4.9;
    }
    void labelsDiffer()
    {
        QFETCH(double, low);
        QFETCH(double, high);
        for (const int steps : {4, 6}) {
            QValueAxis axis;
            setRoundTicks(axis, low, high, steps);
            QVERIFY(axis.max() > axis.min());
            QSet<QString> labels;
            int ticks = 0;
            const double step = axis.tickInterval();
            for (double k = std::ceil(axis.min() / step); k * step <= axis.max(); ++k) {
                labels.insert(QString::asprintf(axis.labelFormat().toUtf8().constData(), k * step));
                ++ticks;
            }
            QVERIFY2(ticks >= 3 && ticks <= 14, qPrintable(QString::number(ticks)));
            QCOMPARE(labels.size(), ticks);
        }
    }

    void powersAreWrittenOutWhileShort()
    {
        QLogValueAxis counts;
        setPowerTicks(counts, 0.5, 1e5);
        QCOMPARE(counts.labelFormat(), QStringLiteral("%.7g"));
        QLogValueAxis errors;
        setPowerTicks(errors, 1e-9, 1);
        QCOMPARE(errors.labelFormat(), QStringLiteral("%.0e"));
    }
};

QTEST_MAIN(AxesTest)
#include "axes_test.moc"
