// SPDX-License-Identifier: GPL-3.0-or-later
// Which bar stands at which x, at every zoom.
#include "views/allocation/bar_axis.h"

#include <QTest>

using namespace ql::views;

class BarAxisTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void pixelsBelongToOneBar()
    {
        for (const int count : {1, 3, 100, 1200}) {
            std::vector<double> widths;
            for (int i = 0; i < count; ++i)
                widths.push_back(1 + i % 5);
            BarAxis axis;
            axis.setWidths(widths);
            axis.setPixels(40, 777);
            for (const double factor : {1.0, 1.7, 9.0}) {
                axis.zoom(factor, 300);
                for (int x = 40; x < 817; ++x) {
                    const int bar = axis.barAt(x);
                    QVERIFY(axis.leftOf(bar) <= x && x < std::max(axis.rightOf(bar), axis.leftOf(bar) + 1));
                }
            }
        }
    }

    void zoomKeepsWhatIsUnderThePointer()
    {
        BarAxis axis;
        axis.setWidths(std::vector<double>(300, 1.0));
        axis.setPixels(0, 900);
        axis.zoom(4, 450);
        const int under = axis.barAt(600);
        axis.zoom(2, 600);
        QCOMPARE(axis.barAt(600), under);
        axis.zoom(0.5, 600);
        QCOMPARE(axis.barAt(600), under);
        axis.zoom(1e-3, 600); // never beyond all of them
        QCOMPARE(axis.from(), 0.0);
        QCOMPARE(axis.span(), 1.0);
        axis.zoom(1e9, 600); // nor to bars wider than 90 pixels
        QVERIFY(axis.rightOf(axis.barAt(450)) - axis.leftOf(axis.barAt(450)) <= 91);
    }

    void revealScrollsAsLittleAsNeeded()
    {
        BarAxis axis;
        axis.setWidths(std::vector<double>(100, 1.0));
        axis.setPixels(0, 500);
        axis.setSight(0.2, 0.1);
        axis.reveal(25);
        QCOMPARE(axis.from(), 0.2);
        axis.reveal(50);
        QCOMPARE(axis.barAt(499), 50);
        axis.reveal(3);
        QCOMPARE(axis.barAt(0), 3);
    }

    void manyBarsBeginZoomedIn()
    {
        BarAxis axis;
        axis.setWidths(std::vector<double>(5000, 1.0));
        axis.setPixels(0, 1000);
        axis.showFromStart();
        QCOMPARE(axis.from(), 0.0);
        QCOMPARE(axis.barAt(999), 499);
    }

    void withoutBarsOrRoomThereIsNothing()
    {
        BarAxis axis;
        QCOMPARE(axis.barAt(5), -1);
        axis.setWidths(std::vector<double>(3, 0.0)); // no weights: equal
        QCOMPARE(axis.barAt(5), -1);
        axis.setPixels(0, 90);
        QCOMPARE(axis.barAt(45), 1);
        axis.setWidths({});
        axis.zoom(2, 10);
        QCOMPARE(axis.barAt(5), -1);
    }
};

QTEST_APPLESS_MAIN(BarAxisTest)
#include "bar_axis_test.moc"
