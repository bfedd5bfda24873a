// SPDX-License-Identifier: GPL-3.0-or-later
// Validations: windows arrive one by one with the engine's figures, a cancel keeps them, a study remembers them.
#include "core/model/evaluation/evaluate.h"
#include "core/realize/plan_weights.h"
#include "tests/support/opened_sample.h"
#include "tests/support/refer_to.h"
#include "views/panels/validation/validation_model.h"

#include <QAbstractItemModelTester>
#include <QStandardPaths>
#include <QTemporaryDir>

#include <cmath>

using namespace ql;
using namespace ql::views;

class ValidationRunsTest : public QObject {
    Q_OBJECT

    static ValidationChoice choice(test::OpenedSample& work, std::int64_t windows)
    {
        return {work.text(QStringLiteral("test.txt")), 64, windows, nullptr};
    }

private Q_SLOTS:
    void initTestCase()
    {
        QStandardPaths::setTestModeEnabled(true);
        QCoreApplication::setOrganizationName(QStringLiteral("QuantLoupe"));
        QCoreApplication::setApplicationName(QStringLiteral("validation-runs-test"));
    }

    void figuresAreTheEngines()
    {
        test::OpenedSample work;
        QVERIFY(work.open());
        work.lowerAll();
        ValidationRuns& runs = work.runs.validations;
        ValidationModel model(runs);
        const QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        runs.start(choice(work, 12));
        QVERIFY(runs.isRunning());
        QTRY_VERIFY_WITH_TIMEOUT(!runs.isRunning(), 60000);
        QCOMPARE(runs.problem(), QString());
        QCOMPARE(model.rowCount(), 1);
        const ValidationRecord& record = runs.records().front();
        QCOMPARE(record.points.size(), std::size_t{12});
        QCOMPARE(record.predictedLoss, work.document.totals().loss);

        const auto text = work.text(QStringLiteral("test.txt"));
        const auto windows = text->tokens.windows(64, 12).value();
        const JobContext context(work.executor);
        const Model& m = *work.document.model();
        const graph::CheckpointWeights own(m);
        const Plan plan = work.document.plan();
        const PlanWeights weights(m, plan, &work.document.target()->profile, nullptr);
        const ModelVersion other{.weights = test::referTo(weights)};
        EvaluationTask task{.graph = text->graph,
                            .windows = windows,
                            .model = {.weights = test::referTo(own)},
                            .other = &other,
                            .onScores = {},
                            .known = {}};
        const auto scores = evaluate(task, context).value();
        const ComparisonScore comparison = comparisonOf(scores, 12);
        QCOMPARE(record.last().perplexity.value, perplexityOf(scores, 12).perplexity.value);
        QCOMPARE(record.last().planPerplexity.value, comparison.perplexity.value);
        QCOMPARE(record.last().kld.value, comparison.kld.value);
        QCOMPARE(record.last().kld.error, comparison.kld.windowError);
        QCOMPARE(record.last().sameTop.value, comparison.sameTop.value);
        QVERIFY(record.last().kld.value > 0);
        const std::vector<TokenScore> first(scores.begin(), scores.begin() + std::ssize(scores) / 12 * 5);
        QCOMPARE(record.points[4].windows, 5);
        QCOMPARE(record.points[4].kld.value, comparisonOf(first, 5).kld.value);
        for (int column = 0; column < model.columnCount(); ++column) {
            QVERIFY(!model.index(0, column).data().toString().isEmpty());
            QVERIFY(!model.headerData(column, Qt::Horizontal).toString().isEmpty());
        }
        QCOMPARE(model.index(0, ValidationModel::kKld).data(Qt::UserRole).toDouble(), comparison.kld.value);
    }

    void runtimesRoundActivationsToo()
    {
        test::OpenedSample work;
        QVERIFY(work.open());
        ValidationRuns& runs = work.runs.validations;
        ValidationChoice rounded = choice(work, 2);
        runs.start(rounded);
        QTRY_VERIFY_WITH_TIMEOUT(!runs.isRunning(), 60000);
        QVERIFY(runs.records().back().last().kld.value < 1e-9); // nothing is quantized
        rounded.runtime = findRuntime("llama.cpp").value();
        runs.start(rounded);
        QTRY_VERIFY_WITH_TIMEOUT(!runs.isRunning(), 60000);
        QVERIFY(runs.records().back().last().kld.value > 1e-9);
        QCOMPARE(runs.records().back().runtime, QStringLiteral("llama.cpp"));
    }

    void aCancelKeepsWhatWasMeasured()
    {
        test::OpenedSample work;
        QVERIFY(work.open());
        work.lowerAll();
        ValidationRuns& runs = work.runs.validations;
        double fraction = 0; // of the windows, when the first ones are through
        connect(&runs, &ValidationRuns::added, &runs, [&] {
            fraction = work.jobs.running().front().fraction;
            runs.cancel();
        });
        runs.start(choice(work, 0)); // hundreds of windows, a group of 64 at a time
        QTRY_VERIFY_WITH_TIMEOUT(!runs.isRunning(), 60000);
        QCOMPARE(runs.problem(), QString());
        QCOMPARE(runs.records().size(), std::size_t{1});
        const std::int64_t done = runs.records().back().last().windows;
        QVERIFY2(done >= 1 && done < runs.windowsWanted(), qPrintable(QString::number(done)));
        QVERIFY2(fraction < 0.9, qPrintable(QString::number(fraction)));
    }

    void aStudyRemembersThem()
    {
        QTemporaryDir folder;
        const QString path = folder.filePath(QStringLiteral("validated.qloupe"));
        QByteArray before;
        {
            test::OpenedSample work;
            QVERIFY(work.open());
            work.lowerAll();
            work.runs.validations.start(choice(work, 3));
            QTRY_VERIFY_WITH_TIMEOUT(!work.runs.validations.isRunning(), 60000);
            before = printRecords(work.runs.validations.records());
            QSignalSpy saved(&work.document, &Document::saved);
            work.document.save(path);
            QVERIFY(saved.wait(30000));
            QVERIFY(work.settle());
        }
        test::OpenedSample work;
        QSignalSpy reset(&work.runs.validations, &ValidationRuns::reset);
        QVERIFY(work.open(path));
        QTRY_COMPARE(work.runs.validations.records().size(), std::size_t{1});
        QCOMPARE(printRecords(work.runs.validations.records()), before);
        ValidationModel model(work.runs.validations);
        const QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        QCOMPARE(model.rowCount(), 1);
        work.document.close();
        QCOMPARE(model.rowCount(), 0);
    }

    void recordsAsText()
    {
        ValidationRecord record{.time = QDateTime::fromString(QStringLiteral("2026-11-28T12:00:00"), Qt::ISODate),
                                .plan = QStringLiteral("int4:g64 ×28"),
                                .planJson = QStringLiteral("{}"),
                                .bitsPerWeight = 4.25,
                                .predictedLoss = std::numeric_limits<double>::quiet_NaN(),
                                .metric = QStringLiteral("weight_error"),
                                .text = QStringLiteral("/a b/test.txt"),
                                .length = 512,
                                .runtime = {},
                                .points = {{3, {15.1, 0.2}, {15.9, 0.25}, {0.05, 0.004}, {0.9, 0.01}, 0.02, 1.5}}};
        const auto again = parseRecords(printRecords({record, record}));
        QCOMPARE(again.size(), std::size_t{2});
        QCOMPARE(printRecords(again), printRecords({record, record}));
        QCOMPARE(again[0].last().kld.error, 0.004);
        QVERIFY(std::isnan(again[0].predictedLoss));
        for (const char* damaged : {"", "[", "{}", "[1]", "[{}]", "[{\"time\":\"2026-11-28T12:00:00\",\"points\":[]}]"})
            QVERIFY2(parseRecords(damaged).empty(), damaged);
    }
};

QTEST_MAIN(ValidationRunsTest)
#include "validation_runs_test.moc"
