// SPDX-License-Identifier: GPL-3.0-or-later
// Open, edit, undo, target, variants, save and reopen, recovery; and the bars wired to the document.
#include "tests/support/tiny_model.h"
#include "views/allocation/bit_bars.h"
#include "views/document/document.h"
#include "views/document/recent_files.h"
#include "views/document/recovery.h"
#include "views/jobs/job_runner.h"
#include "views/panels/panel.h"
#include "views/runs/runs.h"

#include <QSignalSpy>
#include <QStandardPaths>
#include <QTemporaryDir>
#include <QTest>

#include <cmath>

using namespace ql;
using namespace ql::views;

namespace {

struct Work {
    Executor executor{2};
    JobRunner jobs{executor};
    Document document{jobs};
    Runs runs{document, jobs};

    bool settle()
    {
        return QTest::qWaitFor([this] { return jobs.isIdle(); }, 60000);
    }
    bool transform(const char* text)
    {
        QSignalSpy transformed(&document, &Document::transformed);
        document.transform(*parseTransforms(text));
        return (!transformed.isEmpty() || transformed.wait(60000)) && settle();
    }
    bool open(const QString& path)
    {
        QSignalSpy measured(&document, &Document::measured);
        document.open(path);
        return measured.wait(60000) || measured.size() > 0;
    }
    std::vector<LayerColumn> lowest() const
    {
        std::vector<LayerColumn> changes;
        for (const std::int64_t layer : document.planLayers())
            changes.push_back({layer, document.ladder(layer).front()});
        return changes;
    }
};

} // namespace

class DocumentTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        QStandardPaths::setTestModeEnabled(true);
        QCoreApplication::setOrganizationName(QStringLiteral("QuantLoupe"));
        QCoreApplication::setApplicationName(QStringLiteral("document-test"));
        QVERIFY(test::writeTinyModel(m_folder.path() + QStringLiteral("/model")));
    }
    QString modelPath() const { return m_folder.path() + QStringLiteral("/model"); }
    static QString samplePath() { return QStringLiteral(QL_SOURCE_DIR "/resources/sample"); } // can be run

    void openingMeasuresEverything()
    {
        Work work;
        QVERIFY(work.open(modelPath()));
        const Document& d = work.document;
        QCOMPARE(d.planLayers().size(), std::size_t{15});
        QVERIFY(d.target());
        QVERIFY(!d.isModified());
        for (const std::int64_t layer : d.planLayers()) {
            QVERIFY(d.facts(layer).known);
            QVERIFY(d.facts(layer).outlierShare > 0); // every matrix has one
            QVERIFY(!d.ladder(layer).empty());
            for (const std::size_t column : d.ladder(layer)) {
                QVERIFY(d.cell(layer, column));
                QVERIFY(std::isfinite(d.lossOf(*d.cell(layer, column))));
            }
        }
        QCOMPARE(d.totals().loss, 0.0); // everything is kept
        QTRY_VERIFY(d.totals().fileBytes.has_value());
    }

    void totalsEqualTheEnginesToTheLastBit()
    {
        Work work;
        QVERIFY(work.open(modelPath()));
        Document& d = work.document;
        d.assign(work.lowest(), QStringLiteral("low"));
        QCOMPARE(d.totals().loss, predictLoss(d.table(), d.plan()));
        QCOMPARE(d.totals().bitsPerWeight,
                 bitsPerWeight(*d.model(), d.plan(), layersInPlan(*d.model(), &d.target()->profile)));
        QVERIFY(d.totals().loss > 0);
        QTRY_COMPARE(d.totals().fileBytes.value_or(-1), *d.target()->profile.fileBytes(*d.model(), d.plan()));
    }

    void oneEditIsOneStepAndUndoRestoresAll()
    {
        Work work;
        QVERIFY(work.open(modelPath()));
        Document& d = work.document;
        const Plan before = d.plan();
        d.beginEdit();
        const auto changes = work.lowest();
        for (const LayerColumn& change : changes)
            d.previewEdit(std::span(&change, 1)); // as a pointer moves
        d.commitEdit(QStringLiteral("paint"));
        const Plan after = d.plan();
        QVERIFY(!(before == after));
        QCOMPARE(d.undoStack().count(), 1);
        QVERIFY(d.isModified());
        d.undoStack().undo();
        QVERIFY(d.plan() == before);
        QCOMPARE(d.totals().loss, 0.0);
        QVERIFY(!d.isModified());
        d.undoStack().redo();
        QVERIFY(d.plan() == after);
    }

    void cancelledEditsLeaveNothing()
    {
        Work work;
        QVERIFY(work.open(modelPath()));
        Document& d = work.document;
        const Plan before = d.plan();
        d.beginEdit();
        d.previewEdit(work.lowest());
        QVERIFY(!(d.plan() == before));
        d.cancelEdit();
        QVERIFY(d.plan() == before);
        QCOMPARE(d.undoStack().count(), 0);
        QCOMPARE(d.totals().loss, 0.0);
    }

    void locksHold()
    {
        Work work;
        QVERIFY(work.open(modelPath()));
        Document& d = work.document;
        const std::int64_t down = d.model()->indexOf("model.layers.0.mlp.down_proj.weight");
        const std::vector<std::int64_t> one{down};
        d.setLocked(one, true);
        QVERIFY(d.isLocked(down));
        const Candidate kept = d.candidate(down);
        d.assign(work.lowest(), QStringLiteral("low"));
        QVERIFY(d.candidate(down) == kept);
        d.undoStack().undo();
        d.undoStack().undo();
        QVERIFY(!d.isLocked(down));
    }

    void repeatedKeysMerge()
    {
        Work work;
        QVERIFY(work.open(modelPath()));
        Document& d = work.document;
        const std::int64_t layer = d.planLayers().back();
        const auto ladder = d.ladder(layer);
        QVERIFY(ladder.size() > 2);
        for (std::size_t i = 0; i < 2; ++i) {
            d.beginEdit();
            const LayerColumn change{layer, ladder[i]};
            d.previewEdit(std::span(&change, 1));
            d.commitEdit(QStringLiteral("key"), true);
        }
        QCOMPARE(d.undoStack().count(), 1);
        d.undoStack().undo();
        QVERIFY(d.candidate(layer).weights.isKeep());
    }

    void changingTheTargetIsUndoable()
    {
        Work work;
        QVERIFY(work.open(modelPath()));
        Document& d = work.document;
        const Target* first = d.target();
        d.assign(work.lowest(), QStringLiteral("low"));
        const Plan before = d.plan();
        for (const Target* other : allTargets()) {
            if (other == first || !other->profile.acceptsModel(*d.model()))
                continue;
            QSignalSpy measured(&d, &Document::measured);
            d.setTarget(other);
            QCOMPARE(d.target(), other);
            QVERIFY2(admit(other->profile, *d.model(), d.plan()), other->profile.id.data());
            QVERIFY(measured.wait(60000));
            QCOMPARE(d.totals().unmeasured, 0);
            d.undoStack().undo();
            QCOMPARE(d.target(), first);
            QVERIFY(d.plan() == before);
        }
    }

    void changingTheCandidatesIsUndoable()
    {
        Work work;
        QVERIFY(work.open(modelPath()));
        Document& d = work.document;
        const std::vector<Candidate> menu = d.table().candidates;
        QVERIFY(d.setCandidates(QStringLiteral("int4:g64, int8:g64")));
        QCOMPARE(d.ownCandidates().size(), 2U);
        d.addCandidate(*parseCandidate("int4:g64@mse"));
        QCOMPARE(d.ownCandidates().size(), 3U);
        d.addCandidate(*parseCandidate("int4:g64@mse")); // is offered already
        QCOMPARE(d.undoStack().count(), 2);
        d.undoStack().undo();
        QCOMPARE(d.ownCandidates().size(), 2U);
        d.undoStack().undo();
        QVERIFY(d.ownCandidates().empty());
        QCOMPARE(d.table().candidates, menu);
        // One more than the target's menu is the menu and that one.
        d.addCandidate(*parseCandidate("int4:g64@mse"));
        QCOMPARE(d.table().candidates.size(), menu.size() + 1);
        QVERIFY(!d.setCandidates(QStringLiteral("int99")));
        d.close();
        d.addCandidate(*parseCandidate("int4:g64@mse")); // nothing to add to
        QVERIFY(d.ownCandidates().empty());
    }

    void aDragInThePanelIsOneUndoStepThatRestoresEverything()
    {
        Work work;
        QVERIFY(work.open(modelPath()));
        Document& d = work.document;
        std::unique_ptr<QWidget> panel;
        for (const Panel* made : allPanels()) {
            if (QLatin1String(made->id) == QLatin1String("allocation"))
                panel.reset(made->create({d, work.jobs, work.runs}, nullptr));
        }
        QVERIFY(panel);
        panel->resize(1000, 300);
        panel->show();
        auto* bars = panel->findChild<BitBars*>();
        QVERIFY(bars);
        const Plan before = d.plan();
        const double loss = d.totals().loss;
        const QPoint from(bars->columnRect(1).center().x(), bars->yOfBits(16));
        const QPoint to(bars->columnRect(12).center().x(), bars->yOfBits(4));
        QTest::mousePress(bars, Qt::LeftButton, Qt::NoModifier, from);
        QTest::mouseMove(bars, (from + to) / 2);
        QTest::mouseMove(bars, to);
        QVERIFY(!(d.plan() == before)); // totals follow while the button is down
        QVERIFY(d.totals().loss > loss);
        QTest::mouseRelease(bars, Qt::LeftButton, Qt::NoModifier, to);
        QCOMPARE(d.undoStack().count(), 1);
        // What the bars show is the plan, tied layers included.
        for (std::size_t i = 0; i < bars->bars().size(); ++i)
            QCOMPARE(bars->bars()[i].level, static_cast<int>(*d.columnOf(d.planLayers()[i])));
        d.undoStack().undo();
        QVERIFY(d.plan() == before);
        for (std::size_t i = 0; i < bars->bars().size(); ++i)
            QCOMPARE(bars->bars()[i].level, static_cast<int>(*d.columnOf(d.planLayers()[i])));

        QTest::mousePress(bars, Qt::LeftButton, Qt::NoModifier, from);
        QTest::mouseMove(bars, to);
        QVERIFY(!(d.plan() == before));
        QTest::keyClick(bars, Qt::Key_Escape);
        QVERIFY(d.plan() == before);
        QTest::mouseRelease(bars, Qt::LeftButton, Qt::NoModifier, to);
        QVERIFY(d.plan() == before);
    }

    void savedStudiesReopenEqual()
    {
        const QString path = m_folder.filePath(QStringLiteral("work.qloupe"));
        Plan saved;
        {
            Work work;
            QVERIFY(work.open(modelPath()));
            Document& d = work.document;
            d.assign(work.lowest(), QStringLiteral("low"));
            d.setLocked(std::vector<std::int64_t>{d.planLayers()[3]}, true);
            d.setBudget(*parseBudget(QStringLiteral("4.5 bpw")));
            QSignalSpy done(&d, &Document::saved);
            d.save(path);
            QVERIFY(done.wait(30000));
            QVERIFY(!d.isModified());
            saved = d.plan();
        }
        Work work;
        QVERIFY(work.open(path));
        QVERIFY(work.document.plan() == saved);
        QCOMPARE(work.document.studyPath(), path);
        QVERIFY(!work.document.isModified());
        QCOMPARE(*work.document.budget().bitsPerWeight, 4.5);
        QVERIFY(work.document.totals().loss > 0);
    }

    void aVariantIsAStepAndHasAPlanOfItsOwn()
    {
        Work work;
        QVERIFY(work.open(samplePath()));
        Document& d = work.document;
        d.assign(work.lowest(), QStringLiteral("low"));
        const std::vector<std::int64_t> locked{d.planLayers()[3]};
        d.setLocked(locked, true);
        const Plan stored = d.plan();
        const auto base = d.model();
        const std::string lockedName = d.layer(locked.front()).name;
        d.selection().setCurrent(locked.front());
        QVERIFY(work.transform("hadamard:heads"));
        QCOMPARE(d.variantText(), std::string("hadamard:heads"));
        QCOMPARE(d.title(), QFileInfo(samplePath()).fileName() + QStringLiteral(" + hadamard:heads"));
        QVERIFY(d.model() != base && d.baseModel() == base);
        QCOMPARE(d.plan().variant, std::string("hadamard:heads"));
        QCOMPARE(d.plan().fingerprint, d.model()->checkpoint->fingerprint());
        QCOMPARE(d.layer(d.selection().current()).name, lockedName);
        // Layer by layer the same candidates and locks, in whatever order the variant has them.
        for (const std::int64_t layer : d.planLayers()) {
            const std::int64_t of = base->indexOf(d.layer(layer).name);
            QVERIFY2(of < 0 || d.candidate(layer) == stored.candidates[static_cast<std::size_t>(of)],
                     d.layer(layer).name.c_str());
            QCOMPARE(d.isLocked(layer), of >= 0 && stored.locked[static_cast<std::size_t>(of)]);
        }
        // What is shown is measured anew, on the variant's weights.
        for (const std::int64_t layer : d.planLayers()) {
            QVERIFY(d.facts(layer).known);
            QVERIFY(d.ladder(layer).empty() || d.cell(layer, d.ladder(layer).front()));
        }
        const double loss = d.totals().loss;
        QVERIFY(std::isfinite(loss));

        // The plan of the variant is edited on its own, and is there again after a look at the model as stored.
        d.setLocked(d.planLayers(), false);
        std::vector<LayerColumn> highest;
        for (const std::int64_t layer : d.planLayers())
            highest.push_back({layer, d.ladder(layer).back()});
        d.assign(highest, QStringLiteral("high"));
        const Plan rotated = d.plan();
        QVERIFY(work.transform(""));
        QVERIFY(!d.variant() && d.model() == base);
        QVERIFY(d.plan() == stored);
        QCOMPARE(d.variants(), (std::vector<std::string>{"", "hadamard:heads"}));
        QVERIFY(work.transform("hadamard:heads"));
        QVERIFY(d.plan() == rotated);
        // Undo goes the same way back, through both plans.
        d.undoStack().undo();
        QVERIFY(d.plan() == stored);
        d.undoStack().undo();
        QVERIFY(d.plan() == rotated);
        d.undoStack().undo(); // high
        d.undoStack().undo(); // unlocked
        d.undoStack().undo(); // the variant
        QVERIFY(!d.variant());
        QVERIFY(d.plan() == stored);
        QVERIFY(work.settle());
        d.undoStack().redo();
        QCOMPARE(d.variantText(), std::string("hadamard:heads"));
        QVERIFY(work.settle());
        QCOMPARE(d.totals().loss, loss); // to the last bit, as the sink has it
    }

    void theBestMetricIsTakenUntilOneIsChosen()
    {
        Work work;
        QVERIFY(work.open(samplePath()));
        Document& d = work.document;
        QCOMPARE(d.metric()->id, std::string_view("weight_error"));
        QVERIFY(d.settings().at("metric").empty());
        const auto openActivations = [&] {
            QSignalSpy changed(&d, &Document::activationsChanged);
            d.openActivations(samplePath() + QStringLiteral("/activations.npz"));
            return changed.wait(60000) && work.settle();
        };
        QVERIFY(openActivations());
        QCOMPARE(d.metric(), &bestMetric(d.activations().get()));
        QCOMPARE(d.metric()->id, std::string_view("output_error"));
        d.setMetric(findMetric("zd").value());
        QCOMPARE(d.settings().at("metric"), std::string("zd"));
        QVERIFY(work.settle() && openActivations());
        QCOMPARE(d.metric()->id, std::string_view("zd")); // chosen, so it stays
        Work other;
        QVERIFY(other.open(samplePath()));
        other.document.restoreSettings(d.settings());
        QCOMPARE(other.document.metric()->id, std::string_view("zd"));
    }

    void whatATransformLacksIsTold()
    {
        Work work;
        QVERIFY(work.open(samplePath()));
        Document& d = work.document;
        QSignalSpy failed(&d, &Document::transformFailed);
        d.transform(*parseTransforms("awq"));
        QVERIFY(failed.wait(30000));
        QVERIFY(failed.front().front().toString().contains(QLatin1String("activations")));
        QVERIFY(!d.variant());
        QCOMPARE(d.undoStack().count(), 0);
        failed.clear();
        d.transform(*parseTransforms("permute+hadamard"));
        d.stopTransforming();
        QVERIFY(failed.wait(30000));
        QVERIFY(failed.front().front().toString().isEmpty()); // stopped
        QVERIFY(!d.variant());
        // Activations are of the model as stored.
        QVERIFY(work.transform("permute"));
        d.openActivations(QStringLiteral("/no/such.npz"));
        QCOMPARE(work.jobs.failures().size(), std::size_t{1});
        QVERIFY(work.jobs.failures().front().error.what.find("As stored") != std::string::npos);
    }

    void plansAndStudiesOfVariantsOpenAsThem()
    {
        const QString path = m_folder.filePath(QStringLiteral("variant.qloupe"));
        Plan saved;
        Plan stored;
        std::string json;
        {
            Work work;
            QVERIFY(work.open(samplePath()));
            Document& d = work.document;
            stored = d.plan();
            QVERIFY(work.transform("permute+hadamard"));
            d.assign(work.lowest(), QStringLiteral("low"));
            saved = d.plan();
            json = printPlan(saved, *d.model());
            QSignalSpy done(&d, &Document::saved);
            d.save(path);
            QVERIFY(done.wait(30000));
        }
        Work work;
        QVERIFY(work.open(path));
        Document& d = work.document;
        QCOMPARE(d.variantText(), std::string("permute+hadamard"));
        QCOMPARE(d.title(), QStringLiteral("variant.qloupe + permute + hadamard"));
        QVERIFY(d.plan() == saved);
        QVERIFY(!d.isModified());
        QCOMPARE(d.variants().size(), std::size_t{2});
        QVERIFY(work.transform(""));
        QVERIFY(d.plan() == stored); // its plan was kept, too
        // The plan as text makes its variant first, as one step.
        int told = 0;
        const int steps = d.undoStack().index();
        d.adoptPlanText(json, QStringLiteral("load"), [&](const Result<void>& done) { told += done ? 1 : 100; });
        QTRY_COMPARE_WITH_TIMEOUT(told, 1, 60000);
        QCOMPARE(d.undoStack().index(), steps + 1);
        QCOMPARE(d.variantText(), std::string("permute+hadamard"));
        QVERIFY(d.plan() == saved);
        d.undoStack().undo();
        QVERIFY(d.plan() == stored);
        QVERIFY(work.settle());
        // One that cannot be made is refused, and nothing has changed.
        std::string blind = json;
        blind.replace(blind.find("permute+hadamard"), std::string("permute+hadamard").size(), "awq");
        std::string problem;
        d.adoptPlanText(blind, QStringLiteral("load"), [&](const Result<void>& done) { problem = done.error().what; });
        QTRY_VERIFY_WITH_TIMEOUT(!problem.empty(), 60000);
        QVERIFY2(problem.find("activations") != std::string::npos, problem.c_str());
        QVERIFY(d.plan() == stored);
    }

    void unsavedVariantsAreRecovered()
    {
        RecoveredWork left;
        {
            Work work;
            QVERIFY(work.open(samplePath()));
            QVERIFY(work.transform("hadamard"));
            work.document.assign(work.lowest(), QStringLiteral("low"));
            left.planJson = printPlan(work.document.plan(), *work.document.model());
            left.settings = work.document.settings();
        }
        Work work;
        QVERIFY(work.open(samplePath()));
        int told = 0;
        Recovery::restore(left, work.document, [&](const Result<void>& done) { told += done ? 1 : 100; });
        QTRY_COMPARE_WITH_TIMEOUT(told, 1, 60000);
        QCOMPARE(work.document.variantText(), std::string("hadamard"));
        QCOMPARE(printPlan(work.document.plan(), *work.document.model()), left.planJson);
        QVERIFY(work.settle());
    }

    void failuresAreToldAndTheOpenWorkStays()
    {
        Work work;
        QVERIFY(work.open(modelPath()));
        QSignalSpy failed(&work.document, &Document::openFailed);
        work.document.open(m_folder.filePath(QStringLiteral("missing.gguf")));
        QVERIFY(failed.wait(10000));
        QVERIFY(failed.front().at(1).toString().contains(QStringLiteral("missing.gguf")));
        QVERIFY(work.document.isOpen());
        failed.clear();
        work.document.open(m_folder.filePath(QStringLiteral("missing.qloupe")));
        QVERIFY(failed.wait(10000));
        QVERIFY(!QFileInfo::exists(m_folder.filePath(QStringLiteral("missing.qloupe"))));
    }

    void unsavedWorkSurvivesAKill()
    {
        Work work;
        QVERIFY(work.open(modelPath()));
        Recovery recovery(work.document, 50);
        work.document.assign(work.lowest(), QStringLiteral("low"));
        const QString mine = Recovery::folder() + QStringLiteral("/%1.json").arg(QCoreApplication::applicationPid());
        QTRY_VERIFY_WITH_TIMEOUT(QFileInfo::exists(mine), 5000);
        QVERIFY(Recovery::leftBehind().empty()); // its process still runs
        // A process number that cannot run: as if it had been killed.
        const QString dead = Recovery::folder() + QStringLiteral("/2147480000.json");
        QFile::remove(dead);
        QVERIFY(QFile::copy(mine, dead));
        const auto left = Recovery::leftBehind();
        QCOMPARE(left.size(), std::size_t{1});
        QCOMPARE(left.front().checkpoint, work.document.checkpointPath());
        const auto plan = parsePlan(left.front().planJson, *work.document.model());
        QVERIFY(plan);
        QVERIFY(plan->candidates == work.document.plan().candidates);
        Recovery::remove(left.front());
        QVERIFY(Recovery::leftBehind().empty());
        recovery.discard();
        QVERIFY(!QFileInfo::exists(mine));
    }

    void budgets_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<qint64>("bytes");
        QTest::addColumn<double>("bits");
        QTest::newRow("MB") << QStringLiteral("90 MB") << qint64{90'000'000} << 0.0;
        QTest::newRow("GiB") << QStringLiteral("1.5GiB") << qint64{1'610'612'736} << 0.0;
        QTest::newRow("comma") << QStringLiteral("1,5 GB") << qint64{1'500'000'000} << 0.0;
        QTest::newRow("bpw") << QStringLiteral("4.25 bpw") << qint64{0} << 4.25;
        QTest::newRow("plain") << QStringLiteral("5") << qint64{0} << 5.0;
        QTest::newRow("words") << QStringLiteral("3.5 bits per weight") << qint64{0} << 3.5;
        QTest::newRow("nonsense") << QStringLiteral("much") << qint64{0} << 0.0;
        QTest::newRow("negative") << QStringLiteral("-4") << qint64{0} << 0.0;
    }
    void budgets()
    {
        QFETCH(QString, text);
        QFETCH(qint64, bytes);
        QFETCH(double, bits);
        const auto budget = parseBudget(text);
        QCOMPARE(budget.has_value(), bytes > 0 || bits > 0);
        if (!budget)
            return;
        QCOMPARE(budget->fileBytes.value_or(0), bytes);
        QCOMPARE(budget->bitsPerWeight.value_or(0), bits);
        QCOMPARE(*parseBudget(printBudget(*budget)), *budget);
    }

    void recentFilesAreTenAndUnique()
    {
        clearRecentFiles();
        for (int i = 0; i < 14; ++i)
            addRecentFile(QStringLiteral("/tmp/model%1").arg(i));
        addRecentFile(QStringLiteral("/tmp/model9"));
        QCOMPARE(recentFiles().size(), kRecentFiles);
        QCOMPARE(recentFiles().front(), QStringLiteral("/tmp/model9"));
        QCOMPARE(recentFiles().count(QStringLiteral("/tmp/model9")), 1);
    }

    void aPlanBringsTheTargetAndCandidatesItWasMadeFor()
    {
        Work work;
        QVERIFY(work.open(modelPath()));
        Document& d = work.document;
        const Target* const before = d.target();
        const Plan planBefore = d.plan();
        Plan plan = uniformPlan(*d.model(), parseCandidate("mxfp4").value());
        plan.target = "hdf5";
        plan.fingerprint = planBefore.fingerprint;
        QVERIFY(before->profile.id != plan.target);
        d.adoptPlan(plan, QStringLiteral("load"));
        QCOMPARE(d.target()->profile.id, std::string_view("hdf5"));
        for (const std::int64_t layer : d.planLayers()) {
            QVERIFY(d.columnOf(layer)); // it has a bar
            QCOMPARE(printCandidate(d.candidate(layer)), std::string("mxfp4"));
        }
        QCOMPARE(d.undoStack().count(), 1);
        d.undoStack().undo();
        QCOMPARE(d.target(), before);
        QCOMPARE(d.plan(), planBefore);
        // Without a target of its own it is for the one at hand, and what is not offered becomes a choice.
        plan.target.clear();
        plan.candidates.assign(plan.candidates.size(), planBefore.candidates.front());
        plan.candidates[static_cast<std::size_t>(d.planLayers().back())] = parseCandidate("int8:g32@mse").value();
        d.adoptPlan(plan, QStringLiteral("load"));
        QCOMPARE(d.target(), before);
        QVERIFY(d.columnOf(d.planLayers().back()));
    }

private:
    QTemporaryDir m_folder;
};

QTEST_MAIN(DocumentTest)
#include "document_test.moc"
