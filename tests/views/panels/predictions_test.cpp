// SPDX-License-Identifier: GPL-3.0-or-later
// Predicted against measured: what a validation adds, what the study keeps, and what is said once a prediction missed.
#include "core/calibration/calibrated_activations.h"
#include "core/calibration/fisher.h"
#include "core/model/frontends/frontend.h"
#include "tests/support/chart_texts.h"
#include "tests/support/opened_panel.h"
#include "views/panels/allocation/plan_numbers.h"
#include "views/panels/predictions/prediction_chart.h"
#include "views/panels/predictions/predictions_model.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QAbstractItemModelTester>
#include <QLabel>
#include <QTableView>
#include <QTemporaryDir>

#include <cmath>

using namespace ql;
using namespace ql::views;

namespace {

struct Shown : test::OpenedPanel {
    QAbstractItemModelTester tester{model(), QAbstractItemModelTester::FailureReportingMode::QtTest};

    Shown() : OpenedPanel("predictions", {1200, 360}) {}
    PredictionsModel* model() const { return widget->findChild<PredictionsModel*>(); }
    PredictionChart* chart() const { return widget->findChild<PredictionChart*>(); }
    QTableView* table() const { return widget->findChild<QTableView*>(); }
    QString summary() const { return widget->findChild<QLabel*>(QStringLiteral("predictionsSummary"))->text(); }
};

/// A plan of that sum, predicted to be within a third, that measured so many times what was predicted.
PredictionRecord recordOf(int number, double sum, double times)
{
    PredictionRecord record;
    record.of = {.metric = "fisher", .unit = std::string(kNatsPerToken), .runtime = {}, .windows = "w"};
    record.plan = "plan" + std::to_string(number);
    record.text = "test.txt";
    record.windowCount = 8;
    record.point = {.predicted = {.sum = sum, .sumError = 0, .floor = 0},
                    .measured = times * sum,
                    .standardError = 0.01 * sum,
                    .shares = {}};
    record.expected = {.value = sum, .low = sum * 2 / 3, .high = sum * 4 / 3, .level = 0.9, .plans = 5};
    record.wasPredicted = true;
    return record;
}

} // namespace

class PredictionsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { applyTheme(ThemeChoice::light); }

    void chartTableAndVerdict()
    {
        Shown shown;
        QVERIFY(shown.open() && shown.settle());
        QCOMPARE(shown.model()->rowCount(), 0);
        const std::string_view metric = "fisher";
        Predictions& predictions = shown.runs.predictions;
        QVERIFY(!predictions.expected(metric, 0.1));
        for (int i = 0; i < 4; ++i)
            predictions.add(recordOf(i, 0.01 * (i + 1), 1.1));
        PredictionRecord later = recordOf(9, 0.2, 1.05);
        later.wasPredicted = false;
        later.losses = "table.json 0123456789abcdef";
        predictions.add(later);
        QCOMPARE(shown.model()->rowCount(), 5);
        const auto origin = [&](int row) {
            return shown.model()->index(row, PredictionsModel::kPredicted).data(Qt::ToolTipRole).toString();
        };
        QVERIFY2(origin(0).contains(QLatin1String("table.json 0123456789abcdef")), qPrintable(origin(0)));
        QVERIFY(!origin(1).contains(QLatin1Char('\n'))); // of the metric
        for (const auto column :
             {PredictionsModel::kPredicted, PredictionsModel::kInterval, PredictionsModel::kMeasured})
            QVERIFY(shown.model()
                        ->headerData(column, Qt::Horizontal, Qt::ToolTipRole)
                        .toString()
                        .contains(QLatin1String("nats per token"), Qt::CaseInsensitive));
        QVERIFY(predictions.isTrusted(metric));
        const auto expected = predictions.expected(metric, 0.03);
        QVERIFY(expected && expected->plans == 5);
        QVERIFY(expected->value > 0.03 && expected->value < 0.035); // about 1.1 times
        QVERIFY(expected->low < expected->value && expected->high > expected->value);
        QVERIFY(shown.settle());
        QCOMPARE(readPredictions(*shown.document.sink()).size(), std::size_t{5});

        // The newest is first; a click on its mark chooses its row.
        QVERIFY(QTest::qWaitForWindowExposed(shown.widget.get()));
        for (const int height : {150, 360}) {
            shown.widget->resize(1200, height);
            QTRY_VERIFY(test::hasCaption(*shown.chart(), QStringLiteral("measured / nats per token")));
        }
        QTest::qWait(50); // the chart lays itself out
        const auto& rows = shown.model()->rows();
        QCOMPARE(rows.front().record.plan, std::string("plan9"));
        constexpr int kMark = 2;
        QTest::mouseClick(shown.chart()->viewport(), Qt::LeftButton, {}, shown.chart()->positionOf(kMark).toPoint());
        QCOMPARE(shown.chart()->chosen(), kMark);
        QCOMPARE(shown.table()->currentIndex().row(), kMark);
        // And by keys the other way.
        QTest::keyClick(shown.table(), Qt::Key_Down);
        QCOMPARE(shown.chart()->chosen(), kMark + 1);

        // One that misses breaks the prediction until another is inside again.
        predictions.add(recordOf(5, 0.1, 3));
        QVERIFY(!predictions.isTrusted(metric));
        QVERIFY(!shown.model()->rows().front().isInside());
        QVERIFY(shown.summary().contains(QLatin1String("missed")));
        QCOMPARE(shown.model()->index(0, PredictionsModel::kVerdict).data(Qt::ForegroundRole).value<QColor>(),
                 colors(QGuiApplication::palette()).bad);
        predictions.add(recordOf(6, 0.1, 1.2));
        QVERIFY(predictions.isTrusted(metric));
        QVERIFY(!shown.summary().contains(QLatin1String("missed")));
        QVERIFY(shown.settle());
        shown.document.close();
        QCOMPARE(shown.model()->rowCount(), 0);
    }

    /// As the engine predicts it.
    void theIntervalOfThePlanIsCorrectedByRole()
    {
        Shown shown;
        const auto allocation = shown.beside("allocation");
        QVERIFY(shown.open() && shown.settle());
        Document& d = shown.document;
        Predictions& predictions = shown.runs.predictions;
        QVERIFY(!predictions.ofPlan()); // no plan was measured
        shown.lowerAll();
        QVERIFY(shown.settle() && d.totals().loss > 0);
        const SharesByGroup groups = sharesOf(*d.model(), d.table(), d.plan());
        QVERIFY(roleCount(groups.groups) > 2);
        constexpr int kPlans = 40;         // enough to tell roles apart
        for (int i = 0; i < kPlans; ++i) { // layers of the first role lose more than they are said to
            const double first = 0.1 + 0.8 * i / kPlans;
            PredictionRecord record = recordOf(i, d.totals().loss * (1 + 0.05 * (i % 3)), 1 + 3 * first);
            record.of.metric = d.lossSource();
            record.of.unit = std::string(d.metric()->unit);
            record.groups = groups.groups;
            record.point.shares.assign(groups.groups.size(), 0.0);
            record.point.shares[0] = first;
            record.point.shares[1] = 1 - first;
            record.wasPredicted = false;
            predictions.add(record);
        }
        const std::int64_t layer = d.planLayers().front();
        const LayerColumn change{layer, d.ladder(layer).back()};
        for (const bool isChanged : {false, true}) {
            if (isChanged)
                d.assign(std::span(&change, 1), QStringLiteral("highest"));
            const auto of = usualQuantity(predictions.records(), d.lossSource());
            QVERIFY(of);
            PredictedSum sum = predictedSum(d.table(), d.plan());
            sum.floor = usualFloor(predictions.records(), *of);
            const SharesByGroup shares = sharesOf(*d.model(), d.table(), d.plan());
            const Prediction asked =
                lossModelOf(predictions.records(), *of, {}, shares.groups).predict(sum, 0, shares.shares);
            const Prediction plain = lossModelOf(predictions.records(), *of).predict(sum);
            QVERIFY(std::fabs(asked.value / plain.value - 1) > 0.01);
            const auto shownOne = predictions.ofPlan();
            QVERIFY(shownOne);
            QCOMPARE(shownOne->value, asked.value);
            QCOMPARE(shownOne->low, asked.low);
            QCOMPARE(shownOne->high, asked.high);
            const QString interval = numberText(asked.low) + QStringLiteral(" … ") + numberText(asked.high);
            const QString text = allocation->findChild<PlanNumbers*>()->accessibleName();
            QVERIFY2(text.contains(interval), qPrintable(text));
        }
        QVERIFY(shown.settle());
        shown.document.close();
        QVERIFY(!predictions.ofPlan());
    }

    void aValidationAddsAPoint()
    {
        Shown shown;
        const auto allocation = shown.beside("allocation");
        QVERIFY(shown.open() && shown.settle());
        Document& d = shown.document;
        const JobContext context(shown.executor);
        const auto source = shown.text(QStringLiteral("calibration.txt"));
        const Windows windows = source->text()->windows(64, 4).value();
        const graph::CheckpointWeights weights(*d.model());
        const auto sink = d.sink();
        QVERIFY(estimateFisher({*d.model(), source->graph(), weights, windows, {.windows = 0, .seed = 1}, *sink, {}},
                               context));
        d.showActivations(calibratedActivations(sink, findCalibration(*sink, *d.model()), {}));
        d.measureWithActivations();
        d.setMetric(*findMetric("fisher"));
        shown.lowerAll();
        QVERIFY(shown.settle());
        QVERIFY(d.totals().loss > 0);

        shown.runs.validations.start({.source = shown.text(QStringLiteral("test.txt")), .portion = {64, 3}});
        QTRY_VERIFY_WITH_TIMEOUT(!shown.runs.validations.isRunning(), 60000);
        QCOMPARE(shown.runs.validations.problem(), QString());
        const auto& records = shown.runs.predictions.records();
        QCOMPARE(records.size(), std::size_t{1});
        const PredictionRecord& record = records.front();
        QVERIFY(record.wasPredicted);
        QCOMPARE(record.of.metric, std::string("fisher"));
        QVERIFY(std::fabs(record.point.predicted.sum - d.totals().loss) <= 1e-9 * d.totals().loss);
        QCOMPARE(record.point.predicted.floor, 0.0);
        QCOMPARE(record.point.measured, shown.runs.validations.records().back().last().kld.value);
        QCOMPARE(record.windowCount, std::int64_t{3});
        QVERIFY(record.expected.low < record.expected.value && std::isfinite(record.expected.high));
        QCOMPARE(shown.model()->rowCount(), 1);
        QVERIFY(shown.model()->rows().front().plan.contains(QChar(0x00D7))); // it is known by name

        // The summary says the interval; in the colours of problems only after a miss.
        const auto expected = shown.runs.predictions.ofPlan();
        QVERIFY(expected && expected->plans == 1);
        QVERIFY(allocation->findChild<PlanNumbers*>()->accessibleName().contains(QChar(0x2026)));

        QTemporaryDir folder;
        QSignalSpy saved(&d, &Document::saved);
        d.save(folder.filePath(QStringLiteral("study.qloupe")));
        QVERIFY(saved.wait(60000) && shown.settle());
        const std::string hash = record.plan;
        d.close(); // lets the study go
        Shown later;
        QVERIFY(later.open(folder.filePath(QStringLiteral("study.qloupe"))) && later.settle());
        QCOMPARE(later.runs.predictions.records().size(), std::size_t{1});
        QCOMPARE(later.runs.predictions.records().front().plan, hash);

        // Who takes the study's calibration for another one, takes its records, too.
        later.document.close();
        Shown other;
        QVERIFY(other.open() && other.settle());
        QVERIFY(other.runs.predictions.records().empty());
        other.document.openActivations(folder.filePath(QStringLiteral("study.qloupe")));
        QVERIFY(other.settle());
        QVERIFY(other.jobs.failures().empty());
        QVERIFY(other.document.activations() && !other.document.isCalibrated());
        QCOMPARE(other.document.activations()->fisherWindows(), 4);
        QCOMPARE(other.runs.predictions.records().size(), std::size_t{1});
        QCOMPARE(other.runs.predictions.records().front().plan, hash);
        other.document.openActivations(folder.filePath(QStringLiteral("none.qloupe")));
        QVERIFY(other.settle());
        QCOMPARE(other.jobs.failures().size(), std::size_t{1});
        QVERIFY(!QFile::exists(folder.filePath(QStringLiteral("none.qloupe")))); // it is not made
        QCOMPARE(other.document.activations()->fisherWindows(), 4);
    }
};

QTEST_MAIN(PredictionsTest)
#include "predictions_test.moc"
