// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers beside a chart stay numbers, however low the chart is.
#include "views/charts/axes.h"
#include "views/charts/chart_view.h"

#include <QGraphicsTextItem>
#include <QLineSeries>
#include <QLogValueAxis>
#include <QTest>

using namespace ql::views;

class ChartViewTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void powersHaveNumbersAtAnyHeight()
    {
        ChartView view;
        view.resize(430, 400);
        view.show();
        QVERIFY(QTest::qWaitForWindowExposed(&view));
        QChart* chart = view.newChart();
        auto* line = new QLineSeries(chart);
        line->replace(QList<QPointF>{{0, 0.5}, {1, 90000}});
        chart->addSeries(line);
        auto* axis = new QLogValueAxis(chart);
        setPowerTicks(*axis, 0.5, 1e5);
        chart->addAxis(axis, Qt::AlignLeft);
        line->attachAxis(axis);
        view.applyTheme();
        for (const int height : {400, 240, 130, 110, 90, 400}) {
            view.resize(430, height);
            QCoreApplication::processEvents();
            QCoreApplication::processEvents(); // the chart lays itself out later
            int numbers = 0;
            for (const QGraphicsItem* item : view.scene()->items()) {
                const auto* label = qgraphicsitem_cast<const QGraphicsTextItem*>(item);
                if (!label || !label->isVisible() || label->toPlainText().isEmpty())
                    continue;
                QVERIFY2(label->toPlainText().at(0).isDigit(), qPrintable(QString::number(height)));
                ++numbers;
            }
            QVERIFY2(numbers >= 2, qPrintable(QString::number(height)));
            QCOMPARE(axis->base() == 10.0, height >= 240);
        }
    }
};

QTEST_MAIN(ChartViewTest)
#include "chart_view_test.moc"
