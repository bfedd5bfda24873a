// SPDX-License-Identifier: GPL-3.0-or-later
// Losses from cheap to exact: what arrives while they are measured, which evidence counts, what the study keeps, and
// what ends a run.
#include "tests/support/opened_sample.h"
#include "views/panels/layers/layer_columns.h"

#include <QStandardPaths>
#include <QTemporaryDir>

#include <cmath>

using namespace ql;
using namespace ql::views;
using State = LossRun::State;

class LossRunTest : public QObject {
    Q_OBJECT

    std::unique_ptr<test::OpenedSample> m_calibrated = std::make_unique<test::OpenedSample>(); // for the later tests

    /// Opened and calibrated with gradients, two candidates on offer, the plan at the lower.
    static bool prepare(test::OpenedSample& work)
    {
        if (!work.open() || !work.calibrate() || !work.document.setCandidates(QStringLiteral("int4:g64,int3:g64")) ||
            !work.settle())
            return false;
        work.lowerAll();
        return work.settle();
    }
    /// On three windows of held-out text.
    static LossChoice choice(test::OpenedSample& work, double limitSeconds = 0)
    {
        return {.source = work.text(QStringLiteral("test.txt")), .portion = {32, 3}, .limitSeconds = limitSeconds};
    }
    static bool ends(const LossRun& run)
    {
        return QTest::qWaitFor([&] { return run.state() != State::running; }, 60000);
    }
    template<typename Do>
    static void forEachCell(const Document& document, const Do& what)
    {
        for (const std::int64_t layer : document.planLayers())
            for (const std::size_t column : document.ladder(layer))
                if (!document.table().candidateOf(*document.itemOf(layer), column).weights.isKeep())
                    what(layer, column);
    }

private Q_SLOTS:
    void initTestCase()
    {
        QStandardPaths::setTestModeEnabled(true);
        QCoreApplication::setOrganizationName(QStringLiteral("QuantLoupe"));
        QCoreApplication::setApplicationName(QStringLiteral("loss-run-test"));
    }

    void evidenceGrowsFromCheapToExact()
    {
        QTemporaryDir folder;
        const QString path = folder.filePath(QStringLiteral("losses.qloupe"));
        LayerLosses kept;
        std::string table;
        {
            test::OpenedSample work;
            QVERIFY(prepare(work));
            Document& d = work.document;
            LossRun& run = work.runs.losses;
            QCOMPARE(d.metric()->id, std::string_view("kfac"));
            QCOMPARE(run.obstacle(), QString());
            forEachCell(d, [&](std::int64_t layer, std::size_t column) {
                QVERIFY(d.knownLoss(layer, column).evidence <= Evidence::gradients);
            });
            QCOMPARE(d.totals().probed + d.totals().exact, 0);

            const LossChoice its = choice(work);
            const LossCost cost = run.cost(its);
            QVERIFY(cost.gradientSeconds > cost.cellSeconds && cost.cellSeconds > 0);
            QVERIFY(cost.gradientBytes > 0 && cost.exactBytes > 0 && cost.studyBytes > 0);
            std::int64_t probedFirst = 0; // when the first cell is run alone
            connect(&run, &LossRun::changed, this, [&] {
                if (run.stage() == LossRun::Stage::exact && run.cells() == 0)
                    probedFirst = d.totals().probed;
                if (run.cells() >= 3)
                    run.stop();
            });
            run.start(its);
            QVERIFY(ends(run));
            run.disconnect(this);
            QCOMPARE(run.problem(), QString());
            QVERIFY(run.state() == State::stopped);
            QVERIFY(!run.isTimeUp());
            QCOMPARE(run.windows(), 3);
            QVERIFY(probedFirst > 1);

            std::int64_t measured = 0;
            std::optional<LayerColumn> exact;
            forEachCell(d, [&](std::int64_t layer, std::size_t column) {
                const KnownLoss known = d.knownLoss(layer, column);
                QVERIFY(known.evidence >= Evidence::probed);
                QVERIFY(known.loss >= 0 && known.standardError > 0 && std::isfinite(known.standardError));
                QVERIFY(known.tokens > 0 && known.time > 0);
                if (known.evidence == Evidence::measured) {
                    ++measured;
                    exact = LayerColumn{layer, column};
                }
            });
            QCOMPARE(measured, run.cells());
            QVERIFY(exact);

            // The same as the engine measures, and what the table has for Balance and the strip.
            const RunnableModel& runnable = *its.source->runnable;
            const Windows windows = its.source->text()->windows(32, 3).value();
            const std::size_t item = *d.itemOf(exact->layer);
            ExactProbeTask task{.model = *runnable.model,
                                .graph = runnable.graph,
                                .windows = windows,
                                .changes = {},
                                .target = d.target() ? &d.target()->profile : nullptr,
                                .activations = d.activations().get()};
            task.changes.push_back({{exact->layer, d.table().candidateOf(item, exact->column)}});
            std::vector<double> kld;
            QVERIFY(probeExactly(
                task, [&](const MeasuredChange& it) { kld = it.kld; }, JobContext(work.executor)));
            QCOMPARE(kld.size(), std::size_t{3});
            QCOMPARE(d.knownLoss(exact->layer, exact->column).loss, std::max(0.0, meanOf(kld).value));
            for (std::size_t i = 0; i < d.table().items.size(); ++i)
                for (std::size_t column = 0; column < d.table().candidates.size(); ++column) {
                    double sum = 0;
                    double variance = 0;
                    for (const std::int64_t layer : d.table().items[i].layers) {
                        const KnownLoss known = d.knownLoss(layer, column);
                        sum += known.loss;
                        variance += known.standardError * known.standardError;
                    }
                    const Cost& entry = d.table().at(i, column);
                    if (!entry.allowed)
                        continue;
                    QCOMPARE(entry.loss, sum);
                    QCOMPARE(entry.standardError, std::sqrt(variance));
                }
            QVERIFY(d.totals().exact + d.totals().probed > 1);
            QVERIFY(d.totals().lossError > 0);
            QCOMPARE(d.totals().loss, predictLoss(d.table(), d.plan()));

            const LayerColumns columns(d);
            const QString tip = columns.tip(exact->layer, LayerColumns::kLoss);
            QVERIFY2(tip.contains(QLatin1String("tokens scored, just now")), qPrintable(tip));
            QVERIFY2(tip.contains(QLatin1String("Calibration: 192 tokens")), qPrintable(tip));
            QVERIFY(columns.text(exact->layer, LayerColumns::kLoss).toString().contains(QStringLiteral(" ± ")));

            // A validation says how well they predict, apart from what the metric alone does.
            QCOMPARE(d.lossSource(), std::string(kProbedLosses));
            work.runs.validations.start({.source = its.source, .portion = {32, 2}});
            QTRY_VERIFY_WITH_TIMEOUT(!work.runs.validations.isRunning(), 60000);
            QCOMPARE(work.runs.validations.problem(), QString());
            const auto& records = work.runs.predictions.records();
            QCOMPARE(records.size(), std::size_t{1});
            QCOMPARE(records.front().of.metric, std::string(kProbedLosses));
            QCOMPARE(records.front().point.predicted.sum, d.totals().loss);
            QVERIFY(std::fabs(records.front().point.predicted.sumError / d.totals().lossError - 1) < 1e-9);
            QVERIFY(work.runs.predictions.expected(d.lossSource(), d.totals().loss, d.totals().lossError));
            QVERIFY(!work.runs.predictions.expected("kfac", d.totals().loss));
            // The record says of which table: that of the sink, as the command line reads it.
            const LayerLosses held = keptLosses(*d.sink(), *d.model(), d.lossInputs());
            QCOMPARE(held.metric, std::string(kProbedLosses));
            table = lossesName({}, held, *d.model());
            QCOMPARE(records.front().losses, table);

            // Another unit does not mix with it, and nothing is forgotten.
            d.setMetric(*findMetric("weight_error"));
            QVERIFY(work.settle());
            QCOMPARE(d.knownLoss(exact->layer, exact->column).evidence, Evidence::dataFree);
            QCOMPARE(d.totals().exact, 0);
            d.setMetric(*findMetric("kfac"));
            QVERIFY(work.settle());
            QCOMPARE(d.knownLoss(exact->layer, exact->column).evidence, Evidence::measured);

            QSignalSpy saved(&d, &Document::saved);
            d.save(path);
            QVERIFY(saved.wait(30000));
            QVERIFY(work.settle());
            kept = d.losses();
            QVERIFY(work.jobs.failures().empty());
        }
        test::OpenedSample again;
        QVERIFY(again.open(path) && again.settle());
        const LayerLosses read = again.document.losses();
        QCOMPARE(read.cells.size(), kept.cells.size());
        for (std::size_t i = 0; i < read.cells.size(); ++i) {
            QCOMPARE(read.cells[i].layer, kept.cells[i].layer);
            QCOMPARE(read.cells[i].loss, kept.cells[i].loss);
            QCOMPARE(read.cells[i].evidence, kept.cells[i].evidence);
            QCOMPARE(read.cells[i].time, kept.cells[i].time);
        }
        QVERIFY(again.document.totals().probed + again.document.totals().exact > 1);
        again.runs.validations.start({.source = again.text(QStringLiteral("test.txt")), .portion = {32, 2}});
        QTRY_VERIFY_WITH_TIMEOUT(!again.runs.validations.isRunning(), 60000);
        QCOMPARE(again.runs.predictions.records().size(), std::size_t{1}); // in place of the earlier one
        QCOMPARE(again.runs.predictions.records().front().losses, "losses.qloupe " + table);
        QVERIFY(again.settle());
    }

    void lossesOfOtherActivationsAreNotTaken()
    {
        test::OpenedSample& work = *m_calibrated;
        QVERIFY(prepare(work));
        Document& d = work.document;
        const std::int64_t layer = d.planLayers().back();
        const std::size_t column = d.ladder(layer).front();
        LayerLosses losses{.metric = "exact_probe", .activations = "others", .candidates = {}, .cells = {}};
        losses.cells.push_back({.layer = layer,
                                .candidate = d.table().candidateOf(*d.itemOf(layer), column),
                                .loss = 0.5,
                                .standardError = 0.1,
                                .evidence = Evidence::probed});
        d.addLosses(losses);
        QVERIFY(d.knownLoss(layer, column).evidence <= Evidence::gradients);
        losses.activations = d.lossInputs();
        QSignalSpy facts(&d, &Document::factsChanged);
        d.addLosses(losses);
        QCOMPARE(facts.size(), 1);
        QCOMPARE(d.knownLoss(layer, column).loss, 0.5);
        losses.cells.front().loss = 0.25; // of the same evidence, less certain
        losses.cells.front().standardError = 0.2;
        d.addLosses(losses);
        QCOMPARE(facts.size(), 1);
        QCOMPARE(d.knownLoss(layer, column).loss, 0.5);
        losses.cells.front().evidence = Evidence::measured;
        d.addLosses(losses);
        QCOMPARE(d.knownLoss(layer, column).loss, 0.25);
        // With the column gone and back it is there again.
        QVERIFY(d.setCandidates(QStringLiteral("int8:g64")));
        QVERIFY(d.setCandidates(QStringLiteral("int4:g64,int3:g64")));
        QCOMPARE(d.knownLoss(layer, column).loss, 0.25);
        QVERIFY(work.settle());
    }

    void saysWhyItCannotAndStopsInTime()
    {
        test::OpenedSample work;
        QVERIFY(work.open());
        LossRun& run = work.runs.losses;
        QVERIFY(run.obstacle().contains(QLatin1String("Fisher")));
        run.start(choice(work));
        QVERIFY(run.state() == State::failed);
        QCOMPARE(run.problem(), run.obstacle());

        test::OpenedSample& calibrated = *m_calibrated;
        QVERIFY(calibrated.document.isOpen());
        LossRun& its = calibrated.runs.losses;
        LossChoice one = choice(calibrated);
        one.portion.limit = 1;
        its.start(one);
        QVERIFY(its.state() == State::failed);
        QVERIFY(its.problem().contains(QLatin1String("two windows")));
        its.start(choice(calibrated, 0.001));
        QVERIFY(ends(its));
        QVERIFY(its.state() == State::stopped && its.isTimeUp());
        QVERIFY(calibrated.settle());
        calibrated.document.close();
        QVERIFY(its.state() == State::idle);
        QVERIFY(calibrated.document.losses().cells.empty());
        m_calibrated.reset();
    }
};

QTEST_MAIN(LossRunTest)
#include "loss_run_test.moc"
