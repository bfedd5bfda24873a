// SPDX-License-Identifier: GPL-3.0-or-later
// A calibration of the open model: layers arrive while it runs, a pause loses nothing, the study has it.
#include "tests/support/opened_sample.h"

#include <QStandardPaths>
#include <QTemporaryDir>

#include <algorithm>

using namespace ql;
using namespace ql::views;
using State = CalibrationRun::State;

class CalibrationRunTest : public QObject {
    Q_OBJECT

    static CalibrationChoice choice(test::OpenedSample& work, std::int64_t batch, std::int64_t limit = 24)
    {
        CalibrationSettings settings;
        settings.batchWindows = batch;
        return {work.text(QStringLiteral("calibration.txt")), 64, limit, settings};
    }
    static std::shared_ptr<const ActivationStatistics> statistics(test::OpenedSample& work, const char* name)
    {
        const auto& activations = work.document.activations();
        return activations->statistics(work.document.model()->indexOf(name), JobContext(work.executor)).value();
    }
    static constexpr const char* kLayer = "model.layers.3.mlp.down_proj.weight";

private Q_SLOTS:
    void initTestCase()
    {
        QStandardPaths::setTestModeEnabled(true);
        QCoreApplication::setOrganizationName(QStringLiteral("QuantLoupe"));
        QCoreApplication::setApplicationName(QStringLiteral("calibration-run-test"));
    }

    void layersArriveOneBlockAfterTheOther()
    {
        test::OpenedSample work;
        QVERIFY(work.open());
        QVERIFY(!work.document.activations());
        std::vector<std::size_t> layers; // that have statistics, each time some arrive
        connect(&work.document, &Document::activationsChanged, this, [&] {
            layers.push_back(work.document.activations()->layers().size());
            QVERIFY(work.document.isCalibrated());
        });
        QSignalSpy changed(&work.runs.calibration, &CalibrationRun::changed);
        work.runs.calibration.start(choice(work, 24));
        QVERIFY(work.runs.calibration.state() == State::running);
        QTRY_VERIFY_WITH_TIMEOUT(work.runs.calibration.state() == State::finished, 60000);
        QCOMPARE(work.runs.calibration.windows(), 24);
        QVERIFY(!layers.empty());
        QVERIFY(std::is_sorted(layers.begin(), layers.end()));
        QCOMPARE(layers.back(), work.document.planLayers().size());
        QCOMPARE(statistics(work, kLayer)->tokens, 24 * 64);
        // What needs activations is measured with them.
        QVERIFY(work.settle());
        const Metric* metric = findMetric("output_error").value();
        const auto usable = work.document.usableMetrics();
        QVERIFY(std::ranges::find(usable, metric) != usable.end());
        work.document.setMetric(metric);
        const std::int64_t layer = work.document.model()->indexOf(kLayer);
        const std::size_t lowest = work.document.ladder(layer).front();
        QTRY_VERIFY_WITH_TIMEOUT(work.document.cell(layer, lowest), 60000);
        QVERIFY(work.document.lossOf(*work.document.cell(layer, lowest)) > 0);
        QVERIFY(work.jobs.failures().empty());
    }

    void pausedAndResumedItIsTheSame()
    {
        test::OpenedSample whole;
        QVERIFY(whole.open());
        whole.runs.calibration.start(choice(whole, 4, 48));
        QTRY_VERIFY_WITH_TIMEOUT(whole.runs.calibration.state() == State::finished, 60000);

        test::OpenedSample work;
        QVERIFY(work.open());
        CalibrationRun& run = work.runs.calibration;
        bool paused = false;
        connect(&run, &CalibrationRun::changed, this, [&] { // as soon as something has arrived
            if (!paused && work.document.activations()) {
                paused = true;
                run.pause();
            }
        });
        run.start(choice(work, 4, 48));
        QTRY_VERIFY_WITH_TIMEOUT(run.state() == State::paused || run.state() == State::finished, 60000);
        run.disconnect(this);
        QVERIFY2(run.state() == State::paused, "it was through before it could be stopped");
        QVERIFY(work.document.activations()); // what is there can be used
        run.resume();
        QTRY_VERIFY_WITH_TIMEOUT(run.state() == State::finished, 60000);
        const auto wanted = statistics(whole, kLayer);
        const auto found = statistics(work, kLayer);
        QCOMPARE(found->tokens, wanted->tokens);
        QVERIFY(found->gram == wanted->gram);
        QVERIFY(found->histogram == wanted->histogram);
    }

    void theStudyHasIt()
    {
        QTemporaryDir folder;
        const QString path = folder.filePath(QStringLiteral("calibrated.qloupe"));
        const QString copy = folder.filePath(QStringLiteral("copy.qloupe"));
        {
            test::OpenedSample work;
            QVERIFY(work.open());
            QSignalSpy saved(&work.document, &Document::saved);
            work.document.save(path);
            QVERIFY(saved.wait(30000));
            work.runs.calibration.start(choice(work, 24));
            QTRY_VERIFY_WITH_TIMEOUT(work.runs.calibration.state() == State::finished, 60000);
            QVERIFY(!work.document.isModified()); // the study has it without being saved again
            QCOMPARE(work.document.activationsPath(), path);
            work.document.save(copy);
            QVERIFY(saved.wait(30000));
        }
        for (const QString& study : {path, copy}) {
            test::OpenedSample work;
            QVERIFY(work.open(study));
            QVERIFY(work.document.isCalibrated());
            QCOMPARE(statistics(work, kLayer)->tokens, 24 * 64);
            QVERIFY(work.settle());
        }
    }

    void failuresSayWhy()
    {
        test::OpenedSample work;
        QVERIFY(work.open());
        CalibrationChoice bad = choice(work, 24);
        bad.length = 1 << 20;
        work.runs.calibration.start(bad);
        QTRY_VERIFY(work.runs.calibration.state() == State::failed);
        QVERIFY2(work.runs.calibration.problem().contains(QLatin1String("smaller context")),
                 qPrintable(work.runs.calibration.problem()));
        work.document.close();
        QVERIFY(work.runs.calibration.state() == State::idle);
    }
};

QTEST_MAIN(CalibrationRunTest)
#include "calibration_run_test.moc"
