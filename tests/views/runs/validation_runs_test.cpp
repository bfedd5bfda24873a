// SPDX-License-Identifier: GPL-3.0-or-later
// Validations: windows arrive one by one with the engine's figures, a cancel keeps them, a study remembers them; of
// models that continue no text the outputs are compared, with the engine's figures, too.
#include "core/model/evaluation/evaluate.h"
#include "core/model/tokenizer/tokenizer.h"
#include "core/realize/plan_weights.h"
#include "tests/support/opened_sample.h"
#include "tests/support/refer_to.h"
#include "tests/support/textless_models.h"
#include "views/panels/validation/validation_model.h"
#include "views/text/format.h"

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
        return {work.text(QStringLiteral("test.txt")), {64, windows}, nullptr};
    }

    /// The one record of a run, and what the engine says of those cases, `size` at a time.
    static void compare(test::OpenedSample& work, const std::shared_ptr<const PreparedSource>& source,
                        const Portion& portion, const Cases& cases, std::int64_t size)
    {
        ValidationRuns& runs = work.runs.validations;
        runs.start({source, portion, nullptr});
        QCOMPARE(runs.wanted(), cases.count);
        QTRY_VERIFY_WITH_TIMEOUT(!runs.isRunning(), 60000);
        QCOMPARE(runs.problem(), QString());
        QCOMPARE(runs.records().size(), std::size_t{1});
        const ValidationRecord& record = runs.records().front();
        QVERIFY(record.points.empty() && record.outputs);
        QCOMPARE(record.count(), cases.count);

        const JobContext context(work.executor);
        const Model& model = *work.document.model();
        const Plan plan = work.document.plan();
        const PlanWeights weights(model, plan, &work.document.target()->profile, nullptr);
        const ModelVersion other{.weights = test::referTo(weights)};
        const auto batch = [&](std::int64_t i) {
            return cases.batch(i * size, std::min(cases.count, (i + 1) * size), context);
        };
        const OutputsScore score = evaluateOutputs({.graph = source->graph(),
                                                    .batches = (cases.count + size - 1) / size,
                                                    .batch = batch,
                                                    .model = ownVersion(model),
                                                    .other = &other},
                                                   context)
                                       .value();
        const OutputsScore& found = record.outputs->score;
        QCOMPARE(found.outputs.size(), score.outputs.size());
        for (std::size_t i = 0; i < score.outputs.size(); ++i) {
            QCOMPARE(found.outputs[i].name, score.outputs[i].name);
            QCOMPARE(found.outputs[i].rows, score.outputs[i].rows);
            QCOMPARE(found.outputs[i].sqnrDb, score.outputs[i].sqnrDb);
            QCOMPARE(found.outputs[i].cosine.value, score.outputs[i].cosine.value);
            QCOMPARE(found.outputs[i].cosine.error, score.outputs[i].cosine.error);
            QCOMPARE(found.outputs[i].leastCosine, score.outputs[i].leastCosine);
            QVERIFY(std::isfinite(found.outputs[i].sqnrDb)); // the plan is not the model
        }
        const auto sameAnswers = [](const AnswerScore& a, const AnswerScore& b) {
            const auto same = [](const RowMean& x, const RowMean& y) {
                return x.value == y.value && x.error == y.error;
            };
            return a.count == b.count && same(a.loss, b.loss) && same(a.top1, b.top1) && same(a.top5, b.top5);
        };
        QVERIFY(sameAnswers(found.model, score.model));
        QVERIFY(sameAnswers(found.other, score.other));
        QCOMPARE(found.sameTop.value, score.sameTop.value);
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
        const auto windows = text->text()->windows(64, 12).value();
        const JobContext context(work.executor);
        const Model& m = *work.document.model();
        const graph::CheckpointWeights own(m);
        const Plan plan = work.document.plan();
        const PlanWeights weights(m, plan, &work.document.target()->profile, nullptr);
        const ModelVersion other{.weights = test::referTo(weights)};
        EvaluationTask task{.graph = text->graph(),
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
            QCOMPARE(!model.index(0, column).data().toString().isEmpty(), model.isUsed(column));
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
        QVERIFY2(done >= 1 && done < runs.wanted(), qPrintable(QString::number(done)));
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

    void outputsOfPicturesAndArrays()
    {
        QTemporaryDir folder;
        const QString pixels = folder.filePath(QStringLiteral("pixels.npz"));
        QVERIFY(test::writePixels(pixels, 20));
        const QString csv = folder.filePath(QStringLiteral("labels.csv"));
        QVERIFY(test::writeFile(csv, "cat/small.png,4\ndog/photo.jpg,2\n"));
        for (const QString& labels : {QString(), csv}) {
            test::OpenedSample work;
            QVERIFY(work.open(test::vitPath()));
            work.lowerAll();
            const auto source = work.source(test::picturesPath(), labels);
            const Cases cases = imageCases(*work.document.model(), source->graph(), toPath(test::picturesPath()),
                                           toPath(labels), JobContext(work.executor))
                                    .value();
            compare(work, source, {}, cases, 8);
            const OutputsPoint& point = *work.runs.validations.records().front().outputs;
            QCOMPARE(point.score.model.count, labels.isEmpty() ? 4 : 2);
            QVERIFY(point.hasAnswers() && point.hasLogits());
            QCOMPARE(point.leading().name, std::string("logits"));
        }
        test::OpenedSample work;
        QVERIFY(work.open(test::vitPath()));
        work.lowerAll();
        ValidationModel model(work.runs.validations);
        const QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        const auto source = work.source(pixels);
        const Cases cases = firstOf(arrayCases(source->graph(), toPath(pixels), JobContext(work.executor)).value(), 11);
        compare(work, source, {.length = 0, .limit = 11}, cases, 8);
        QCOMPARE(model.rowCount(), 1);
        QVERIFY(!model.isUsed(ValidationModel::kPerplexity));
        QVERIFY(model.isUsed(ValidationModel::kPlanTop1));
        QCOMPARE(model.index(0, ValidationModel::kCount).data().toString(), QStringLiteral("11"));
        QCOMPARE(model.index(0, ValidationModel::kSource).data().toString(), QStringLiteral("pixels.npz"));
        const OutputsScore& score = work.runs.validations.records().front().outputs->score;
        QCOMPARE(model.index(0, ValidationModel::kLoss).data(Qt::UserRole).toDouble(), score.model.loss.value);
        QCOMPARE(model.index(0, ValidationModel::kSqnr).data(Qt::UserRole).toDouble(), score.outputs.front().sqnrDb);
    }

    void outputsOfGraphsOnArrays()
    {
        QTemporaryDir folder;
        const QString onnx = folder.filePath(QStringLiteral("product.onnx"));
        const QString arrays = folder.filePath(QStringLiteral("x.npz"));
        QVERIFY(test::writeProduct(onnx, arrays, 20));
        test::OpenedSample work;
        QVERIFY(work.open(onnx));
        work.lowerAll();
        const auto source = work.source(arrays);
        const Cases cases = arrayCases(source->graph(), toPath(arrays), JobContext(work.executor)).value();
        compare(work, source, {}, cases, 8);
        const OutputsPoint& point = *work.runs.validations.records().front().outputs;
        QVERIFY(!point.hasAnswers() && !point.hasLogits());
        QCOMPARE(point.leading().name, std::string("y"));
        QCOMPARE(point.leading().rows, 20);
    }

    void pathsSayWhatTheyAre()
    {
        const auto kind = [](const QString& model, const char* path) {
            Executor executor(1);
            const JobContext context(executor);
            const auto opened = openModel(toPath(model), context).value();
            return sourceKind(*prepareModel(opened).value(), QString::fromUtf8(path));
        };
        const QString bert = QStringLiteral(QL_TEST_DATA "/frontends/bert");
        QVERIFY(kind(test::samplePath(), "a.txt") == SourceKind::text);
        QVERIFY(kind(test::samplePath(), "a.npz") == SourceKind::tokens);
        QVERIFY(kind(test::samplePath(), "a.npy") == SourceKind::tokens);
        QVERIFY(kind(bert, "") == SourceKind::text);
        QVERIFY(kind(bert, "a.npy") == SourceKind::tokens);
        QVERIFY(kind(bert, "a.npz") == SourceKind::arrays);
        QVERIFY(kind(test::vitPath(), "pictures/") == SourceKind::pictures);
        QVERIFY(kind(test::vitPath(), "a.NPZ") == SourceKind::arrays);
    }

    void encodersAreAskedForHiddenTokens()
    {
        QTemporaryDir folder;
        const QString bert = folder.filePath(QStringLiteral("bert"));
        const QString text = folder.filePath(QStringLiteral("text.txt"));
        QVERIFY(test::writeMaskedBert(bert));
        QVERIFY(test::writeFile(text, test::letters(100)));
        test::OpenedSample work;
        QVERIFY(work.open(bert));
        work.lowerAll();
        const auto source = work.source(text);
        const JobContext context(work.executor);
        const auto tokenizer = openTokenizer(*work.document.model()->checkpoint, context).value();
        Windows windows{12, {}};
        for (int i = 0; i < 5; ++i) {
            const auto encoded =
                tokenizer->encode(test::letters(100).mid(20 * i, 20).toStdString(), {.addSpecial = true}, context)
                    .value();
            windows.ids.insert(windows.ids.end(), encoded.ids.begin(), encoded.ids.end());
        }
        const std::int64_t kept[] = {2, 3}; // [CLS], [SEP]
        const MaskedWindows masked = maskTokens(windows, 4, kept, 0.15, 0);
        Cases cases = windowCases(source->graph(), masked.windows).value();
        cases.batch = [inputs = cases.batch, &masked](std::int64_t first, std::int64_t last,
                                                      const JobContext& its) -> Result<OutputBatch> {
            QL_TRY(batch, inputs(first, last, its));
            batch.answers.assign(masked.answers.begin() + first * 12, masked.answers.begin() + last * 12);
            return batch;
        };
        compare(work, source, {12, 5}, cases, 1);
        const ValidationRecord& record = work.runs.validations.records().front();
        QCOMPARE(record.length, 12);
        QCOMPARE(record.outputs->score.model.count, 5 * 2);
    }

    void aCancelKeepsTheOutputsSoFar()
    {
        QTemporaryDir folder;
        const QString pixels = folder.filePath(QStringLiteral("pixels.npz"));
        QVERIFY(test::writePixels(pixels, 6000));
        const QString path = folder.filePath(QStringLiteral("validated.qloupe"));
        QByteArray before;
        {
            test::OpenedSample work;
            QVERIFY(work.open(test::vitPath()));
            work.lowerAll();
            ValidationRuns& runs = work.runs.validations;
            QSignalSpy grown(&runs, &ValidationRuns::grown);
            connect(&runs, &ValidationRuns::grown, &runs, [&] { runs.cancel(); });
            runs.start({work.source(pixels), {}, nullptr});
            QTRY_VERIFY_WITH_TIMEOUT(!runs.isRunning(), 60000);
            QCOMPARE(runs.problem(), QString());
            QVERIFY(!grown.isEmpty()); // it was seen growing
            QCOMPARE(runs.records().size(), std::size_t{1});
            const std::int64_t done = runs.records().back().count();
            QVERIFY2(done >= 8 && done < 6000, qPrintable(QString::number(done)));
            before = printRecords(runs.records());
            QSignalSpy saved(&work.document, &Document::saved);
            work.document.save(path);
            QVERIFY(saved.wait(30000));
            QVERIFY(work.settle());
        }
        test::OpenedSample work; // the study remembers it
        QVERIFY(work.open(path));
        QTRY_COMPARE(work.runs.validations.records().size(), std::size_t{1});
        QCOMPARE(printRecords(work.runs.validations.records()), before);
        QVERIFY(work.runs.validations.records().front().outputs);
    }

    void recordsAsText()
    {
        ValidationRecord record{.time = QDateTime::fromString(QStringLiteral("2026-11-28T12:00:00"), Qt::ISODate),
                                .plan = QStringLiteral("int4:g64 ×28"),
                                .planJson = QStringLiteral("{}"),
                                .variant = QStringLiteral("smooth"),
                                .bitsPerWeight = 4.25,
                                .fileBytes = 1234,
                                .predictedLoss = std::numeric_limits<double>::quiet_NaN(),
                                .metric = QStringLiteral("weight_error"),
                                .source = QStringLiteral("/a b/test.txt"),
                                .length = 512,
                                .runtime = {},
                                .points = {{3, {15.1, 0.2}, {15.9, 0.25}, {0.05, 0.004}, {0.9, 0.01}, 0.02, 1.5}}};
        const auto again = parseRecords(printRecords({record, record}));
        QCOMPARE(again.size(), std::size_t{2});
        QCOMPARE(printRecords(again), printRecords({record, record}));
        QCOMPARE(again[0].last().kld.error, 0.004);
        QVERIFY(std::isnan(again[0].predictedLoss));
        OutputsPoint outputs{.cases = 7, .score = {}};
        outputs.score.outputs = {
            {.name = "hidden", .rows = 70, .sqnrDb = INFINITY, .cosine = {1, 0}, .leastCosine = 1},
            {.name = "embedding", .rows = 7, .sqnrDb = 31.25, .cosine = {0.999, 0.0001}, .leastCosine = 0.98}};
        outputs.score.other = {.count = 5, .loss = {0.5, 0.25}, .top1 = {0.75, 0.125}, .top5 = {1, 0}};
        record.points.clear();
        record.outputs = outputs;
        const auto others = parseRecords(printRecords({record}));
        QCOMPARE(others.size(), std::size_t{1});
        QCOMPARE(printRecords(others), printRecords({record}));
        const OutputsPoint& read = *others[0].outputs;
        QCOMPARE(read.leading().name, std::string("embedding"));
        QCOMPARE(read.leading().cosine.error, 0.0001);
        QVERIFY(std::isinf(read.score.outputs[0].sqnrDb));
        QCOMPARE(read.score.other.top1.error, 0.125);
        QVERIFY(!read.hasAnswers());
        for (const char* damaged : {"", "[", "{}", "[1]", "[{}]", "[{\"time\":\"2026-11-28T12:00:00\",\"points\":[]}]"})
            QVERIFY2(parseRecords(damaged).empty(), damaged);
    }
};

QTEST_MAIN(ValidationRunsTest)
#include "validation_runs_test.moc"
