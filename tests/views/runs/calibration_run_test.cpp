// SPDX-License-Identifier: GPL-3.0-or-later
// A calibration of the open model: layers arrive while it runs, a pause loses nothing, the study has it; models that
// continue no text see pictures, arrays, or texts with what their tokenizer puts around each.
#include "core/model/frontends/frontend.h"
#include "core/model/tokenizer/tokenizer.h"
#include "tests/support/memory_sink.h"
#include "tests/support/opened_sample.h"
#include "tests/support/textless_models.h"
#include "views/text/format.h"

#include <QStandardPaths>
#include <QTemporaryDir>

#include <algorithm>
#include <cmath>

using namespace ql;
using namespace ql::views;
using State = CalibrationRun::State;

class CalibrationRunTest : public QObject {
    Q_OBJECT

    static CalibrationChoice choice(test::OpenedSample& work, std::int64_t batch, std::int64_t limit = 24)
    {
        CalibrationSettings settings;
        settings.batchWindows = batch;
        return {work.text(QStringLiteral("calibration.txt")), {64, limit}, settings};
    }
    static std::shared_ptr<const ActivationStatistics> statistics(test::OpenedSample& work, const char* name)
    {
        const auto& activations = work.document.activations();
        return activations->statistics(work.document.model()->indexOf(name), JobContext(work.executor)).value();
    }
    static constexpr const char* kLayer = "model.layers.3.mlp.down_proj.weight";

    /// Runs it, and compares what is kept with what the engine makes of those cases.
    static void compare(test::OpenedSample& work, const QString& source, const Portion& portion,
                        const std::function<Result<Cases>(const graph::Graph&, const JobContext&)>& casesOf)
    {
        CalibrationRun& run = work.runs.calibration;
        run.start({work.source(source), portion, {}});
        QTRY_VERIFY_WITH_TIMEOUT(run.state() != State::running, 60000);
        QCOMPARE(run.problem(), QString());
        QVERIFY(run.state() == State::finished);
        const Model& model = *work.document.model();
        const graph::Graph graph = buildGraph(model).value();
        const JobContext context(work.executor);
        const Cases cases = casesOf(graph, context).value();
        QCOMPARE(run.count(), cases.count);
        test::MemorySink sink;
        const graph::CheckpointWeights weights(model);
        QVERIFY(calibrate({model, graph, weights, cases, {}, sink, {}}, context));
        QVERIFY(!sink.pieces.empty());
        for (const auto& [key, piece] : sink.pieces) {
            const auto kept = work.document.sink()->find(key);
            QVERIFY2(kept, key.c_str());
            QVERIFY2(*kept == piece, key.c_str());
        }
        QVERIFY(work.document.isCalibrated());
        QVERIFY(work.settle());
    }

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
        QCOMPARE(work.runs.calibration.count(), 24);
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

    void goesBackwardAndPredictsKld()
    {
        test::OpenedSample work;
        QVERIFY(work.open());
        QVERIFY(work.document.metric()->unit != "nats per token");
        CalibrationRun& run = work.runs.calibration;
        CalibrationChoice its = choice(work, 24, 3);
        its.depth = true;
        its.fisher.emplace();
        its.fisher->windows = 2;
        its.fisher->batchWindows = 1;
        its.curvature = {.probes = 2, .windows = 1};
        bool paused = false;
        std::vector<CalibrationRun::Stage> stages;
        connect(&run, &CalibrationRun::changed, this, [&] {
            if (stages.empty() || stages.back() != run.stage())
                stages.push_back(run.stage());
            if (!paused && run.fisherCount() == 1) { // between its batches
                paused = true;
                run.pause();
            }
        });
        run.start(its);
        QTRY_VERIFY_WITH_TIMEOUT(run.state() != State::running, 60000);
        if (run.state() == State::paused) // it may be through already
            run.resume();
        QTRY_VERIFY_WITH_TIMEOUT(run.state() != State::running, 60000);
        run.disconnect(this);
        QCOMPARE(run.problem(), QString());
        QVERIFY(run.state() == State::finished);
        QCOMPARE(stages.front(), CalibrationRun::Stage::inputs);
        QCOMPARE(stages.back(), CalibrationRun::Stage::curvature);
        QCOMPARE(run.count(), 3);
        QCOMPARE(run.fisherCount(), 2);
        const Activations& activations = *work.document.activations();
        QCOMPARE(activations.fisherWindows(), 2);
        QVERIFY(activations.knowsLossGrams());
        const auto* figures = dynamic_cast<const KnowsFigures*>(&activations);
        QVERIFY(figures && figures->knowsFigure("lim") && figures->knowsFigure("trace_error"));
        QCOMPARE(work.document.metric()->id, std::string_view("kfac")); // by itself

        // The engine makes the same of those windows.
        const Model& model = *work.document.model();
        const graph::Graph graph = buildGraph(model).value();
        const graph::CheckpointWeights weights(model);
        const Windows windows = its.source->text()->windows(64, 3).value();
        test::MemorySink sink;
        FisherSettings settings = *its.fisher;
        settings.keepGramsAs(its.settings);
        QVERIFY(estimateFisher({model, graph, weights, windows, settings, sink, {}}, JobContext(work.executor)));
        QVERIFY(!sink.pieces.empty());
        const Windows first = its.source->text()->windows(64, 1).value();
        QVERIFY(measureCurvature({.model = model,
                                  .graph = graph,
                                  .weights = weights,
                                  .windows = first,
                                  .layers = model.quantizableLayers(),
                                  .settings = its.curvature->settings(),
                                  .sink = &sink,
                                  .onLayer = {}},
                                 JobContext(work.executor)));
        QVERIFY(sink.pieces.size() > model.quantizableLayers().size());
        for (const auto& [key, piece] : sink.pieces) {
            const auto kept = work.document.sink()->find(key);
            QVERIFY2(kept && *kept == piece, key.c_str());
        }
        QVERIFY(work.settle());
        QVERIFY(work.jobs.failures().empty());
    }

    void picturesAndArrays()
    {
        QTemporaryDir folder;
        const QString pixels = folder.filePath(QStringLiteral("pixels.npz"));
        QVERIFY(test::writePixels(pixels, 12));
        const auto pictures = [](test::OpenedSample& work) {
            return [&work](const graph::Graph& graph, const JobContext& context) {
                return imageCases(*work.document.model(), graph, toPath(test::picturesPath()), {}, context);
            };
        };
        const auto arrays = [&](std::int64_t limit) {
            return [&pixels, limit](const graph::Graph& graph, const JobContext& context) -> Result<Cases> {
                QL_TRY(cases, arrayCases(graph, toPath(pixels), context));
                return firstOf(std::move(cases), limit);
            };
        };
        {
            test::OpenedSample work;
            QVERIFY(work.open(test::vitPath()));
            compare(work, test::picturesPath(), {}, pictures(work));
            QCOMPARE(work.runs.calibration.countText(), QStringLiteral("4 cases"));
        }
        for (const std::int64_t limit : {0, 5}) {
            test::OpenedSample work;
            QVERIFY(work.open(test::vitPath()));
            compare(work, pixels, {.length = 0, .limit = limit}, arrays(limit));
            QCOMPARE(work.runs.calibration.count(), limit > 0 ? limit : 12);
        }
    }

    void encodersReadTextInFrames()
    {
        QTemporaryDir folder;
        const QString bert = folder.filePath(QStringLiteral("bert"));
        const QString text = folder.filePath(QStringLiteral("text.txt"));
        QVERIFY(test::writeMaskedBert(bert));
        QVERIFY(test::writeFile(text, test::letters(100)));
        test::OpenedSample work;
        QVERIFY(work.open(bert));
        // Windows of 12: [CLS], ten letters, [SEP].
        compare(work, text, {12, 4}, [&](const graph::Graph& graph, const JobContext& context) -> Result<Cases> {
            QL_TRY(tokenizer, openTokenizer(*work.document.model()->checkpoint, context));
            Windows windows{12, {}};
            for (int i = 0; i < 4; ++i) {
                QL_TRY(encoded, tokenizer->encode(test::letters(100).mid(20 * i, 20).toStdString(),
                                                  {.addSpecial = true}, context));
                windows.ids.insert(windows.ids.end(), encoded.ids.begin(), encoded.ids.end());
            }
            return windowCases(graph, std::move(windows));
        });
        QCOMPARE(work.runs.calibration.countText(), QStringLiteral("4 windows"));
    }

    void whatItTakesIsToldBefore()
    {
        test::OpenedSample work;
        QVERIFY(work.open(test::vitPath()));
        const auto source = work.source(test::picturesPath());
        QCOMPARE(source->count({}), 4);
        QCOMPARE(source->count({.length = 0, .limit = 3}), 3);
        QCOMPARE(source->speed.tokens, 10); // 3 × 3 patches and the class token
        QVERIFY(source->calibrationSeconds({}, {}) > source->calibrationSeconds({}, {.length = 0, .limit = 2}));
        QVERIFY(source->validationSeconds({}) > 0);
        QVERIFY(source->calibrationCost({}, {}).memoryBytes > 0);

        test::OpenedSample language;
        QVERIFY(language.open());
        const auto text = language.text(QStringLiteral("calibration.txt"));
        const Portion portion{64, 8};
        FisherSettings few;
        few.windows = 2;
        QVERIFY(std::fabs(text->fisherSeconds({}, portion) / text->fisherSeconds(few, portion) - 4) < 1e-9);
        QVERIFY(text->fisherSeconds({}, portion) > 3.9 * text->runSeconds(portion)); // forward twice, and backward
        QCOMPARE(text->fisherCost(few, portion).resultBytes, text->fisherCost({}, portion).resultBytes);
    }

    void failuresSayWhy()
    {
        test::OpenedSample work;
        QVERIFY(work.open());
        CalibrationChoice bad = choice(work, 24);
        bad.portion.length = 1 << 20;
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
