// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers beside a chart stay numbers, however low the chart is, and its caption is whole.
#include "tests/support/chart_texts.h"
#include "views/charts/axes.h"
#include "views/charts/chart_view.h"

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
            for (const QGraphicsTextItem* label : ql::test::visibleTexts(view)) {
                QVERIFY2(label->toPlainText().at(0).isDigit(), qPrintable(QString::number(height)));
                ++numbers;
            }
            QVERIFY2(numbers >= 2, qPrintable(QString::number(height)));
            QCOMPARE(axis->base() == 10.0, height >= 240);
        }
    }

    void captionsAreWholeOrNotThere()
    {
        ChartView view;
        view.resize(430, 300);
        view.show();
        QVERIFY(QTest::qWaitForWindowExposed(&view));
        const auto draw = [&view] {
            QChart* chart = view.newChart();
            auto* line = new QLineSeries(chart);
            line->replace(QList<QPointF>{{0, 1}, {1, 2}});
            chart->addSeries(line);
            chart->createDefaultAxes();
            view.applyTheme();
        };
        draw();
        QTRY_VERIFY(view.chart()->plotArea().height() > 100);
        const QString caption = QStringLiteral("loss / nats per token");
        view.setCaption(caption);
        QTRY_VERIFY(ql::test::hasCaption(view, caption));
        const int line = view.fontMetrics().height();
        for (const QSize& small : {QSize(430, 6 * line - 1), QSize(16 * line - 1, 300)}) {
            view.resize(small);
            QTRY_VERIFY(!ql::test::hasCaption(view, caption));
            QVERIFY(std::ranges::none_of(ql::test::visibleTexts(view), [](const QGraphicsTextItem* text) {
                return text->toPlainText().startsWith(QLatin1Char('l'));
            }));
            view.resize(430, 300);
            QTRY_VERIFY(ql::test::hasCaption(view, caption));
        }
        draw(); // another chart has its own
        QTRY_VERIFY(view.chart()->plotArea().height() > 100);
        QVERIFY(view.chart()->title().isEmpty());
    }
};

QTEST_MAIN(ChartViewTest)
#include "chart_view_test.moc"
