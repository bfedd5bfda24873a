// SPDX-License-Identifier: GPL-3.0-or-later
// The bench driven by mouse and keyboard: empty, run, stop, run again; the table says what ql::bench says; candidates
// are explained, offered and assigned, and undone.
#include "core/sensitivity/bench.h"
#include "core/transforms/transform.h"
#include "tests/support/chart_texts.h"
#include "tests/support/opened_panel.h"
#include "views/dialogs/transform_dialog.h"
#include "views/dialogs/transform_page.h"
#include "views/panels/bench/bench_chart.h"
#include "views/panels/bench/bench_model.h"
#include "views/panels/bench/bench_run.h"
#include "views/panels/bench/entry_page.h"
#include "views/panels/view_menu.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QAbstractItemModelTester>
#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPushButton>
#include <QScatterSeries>
#include <QSlider>
#include <QSortFilterProxyModel>
#include <QTableView>
#include <QTextBrowser>
#include <QTreeWidget>

#include <algorithm>

using namespace ql;
using namespace ql::views;

namespace {

const char* const kLayer = "model.layers.0.self_attn.q_proj.weight";

struct Bench : test::OpenedPanel {
    Bench() : OpenedPanel("bench", {1500, 320}) {}
    template<typename T>
    T* find(const char* name) const
    {
        return widget->findChild<T*>(QLatin1String(name));
    }
    QPushButton* start() const { return find<QPushButton>("benchRun"); }
    QTableView* table() const { return find<QTableView>("benchTable"); }
    BenchModel* model() const { return widget->findChild<BenchModel*>(); }
    BenchChart* chart() const { return widget->findChild<BenchChart*>(); }
    bool says(const QString& text) const
    {
        return std::ranges::any_of(widget->findChildren<QLabel*>(),
                                   [&](const QLabel* label) { return label->text().contains(text); });
    }
    bool openOnLayer(const char* layer = kLayer)
    {
        if (!open() || !QTest::qWaitForWindowExposed(widget.get()))
            return false;
        document.selection().setCurrent(document.model()->indexOf(layer));
        document.selection().setSelected({document.model()->indexOf(layer)});
        return settle();
    }
    bool openActivations()
    {
        QSignalSpy changed(&document, &Document::activationsChanged);
        document.openActivations(test::samplePath(QStringLiteral("activations.npz")));
        return changed.wait(60000) && settle();
    }
    bool run()
    {
        QTest::mouseClick(start(), Qt::LeftButton);
        return settle() && start()->text().contains(QLatin1String("Run"));
    }
    QTreeWidgetItem* scheme(const QString& text) const
    {
        for (QTreeWidgetItem* item :
             find<QTreeWidget>("benchSchemes")->findItems(text, Qt::MatchExactly | Qt::MatchRecursive))
            return item;
        return nullptr;
    }
    QListWidgetItem* quantizer(const char* id) const
    {
        return find<QListWidget>("benchQuantizers")->findItems(QLatin1String(id), Qt::MatchExactly).value(0);
    }
    QListWidgetItem* transform(const char* id) const
    {
        return find<QListWidget>("benchTransforms")->findItems(QLatin1String(id), Qt::MatchExactly).value(0);
    }
    int rowOf(const QString& candidate, const QString& transform) const
    {
        for (int row = 0; row < table()->model()->rowCount(); ++row)
            if (table()->model()->index(row, BenchModel::kCandidate).data().toString() == candidate &&
                table()->model()->index(row, BenchModel::kTransform).data().toString() == transform)
                return row;
        return -1;
    }
    void choose(int row) const { table()->setCurrentIndex(table()->model()->index(row, BenchModel::kCandidate)); }
    int rowOf(const QString& candidate) const
    {
        for (int row = 0; row < table()->model()->rowCount(); ++row)
            if (table()->model()->index(row, BenchModel::kCandidate).data().toString() == candidate)
                return row;
        return -1;
    }
};

} // namespace

class BenchPanelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { applyTheme(ThemeChoice::light); }

    void emptyStatesAreSentences()
    {
        Bench bench;
        QVERIFY(bench.says(QStringLiteral("Open a checkpoint")));
        QVERIFY(!bench.start()->isEnabled());
        QVERIFY(bench.openOnLayer());
        QVERIFY(bench.says(QStringLiteral("Run tries 10 candidates on model.layers.0.self_attn.q_proj.weight.")));
        QVERIFY(bench.start()->isEnabled());
        bench.document.selection().setCurrent(bench.document.model()->indexOf("model.norm.weight"));
        QVERIFY(bench.says(QStringLiteral("This tensor is not quantized.")));
        QVERIFY(!bench.start()->isEnabled());
        bench.document.selection().clear();
        QVERIFY(bench.says(QStringLiteral("Select a layer.")));
        bench.document.close();
        QVERIFY(bench.says(QStringLiteral("Open a checkpoint")));
    }

    void schemesAreGroupedAndFiltered()
    {
        Bench bench;
        QVERIFY(bench.openOnLayer());
        auto* tree = bench.find<QTreeWidget>("benchSchemes");
        QVERIFY(tree->topLevelItemCount() >= 2);
        const QTreeWidgetItem* research = tree->topLevelItem(tree->topLevelItemCount() - 1);
        QVERIFY(research->text(0).startsWith(QLatin1String("research (stored in hdf5 only)")));
        QVERIFY(!research->isExpanded());
        QVERIFY(tree->topLevelItem(0)->text(0).startsWith(QLatin1String("runs in ")));
        QVERIFY(tree->topLevelItem(0)->isExpanded());
        QTest::keyClicks(bench.find<QLineEdit>("benchFilter"), QStringLiteral("nf4"));
        QVERIFY(research->isExpanded());
        QVERIFY(bench.scheme(QStringLiteral("mxfp4"))->isHidden());
        QVERIFY(!bench.scheme(QStringLiteral("nf4:g128"))->isHidden());
        bench.find<QLineEdit>("benchFilter")->clear();
        QVERIFY(!bench.scheme(QStringLiteral("mxfp4"))->isHidden());
    }

    void rankSliderTriesLowRankBeside()
    {
        Bench bench;
        QVERIFY(bench.openOnLayer());
        auto* rank = bench.find<QSlider>("benchRank");
        bench.find<QLineEdit>("benchOtherSchemes")->setText(QStringLiteral("bf16"));
        QVERIFY(bench.run());
        const int before = bench.model()->rowCount();
        rank->setFocus();
        QTest::keyClick(rank, Qt::Key_End);
        for (int i = 0; i < 3; ++i)
            QTest::keyClick(rank, Qt::Key_Left);
        QVERIFY(bench.run());
        QCOMPARE(bench.model()->rowCount(), 2 * before - 1); // bf16 has no codes to add to
        int found = 0;
        for (int row = 0; row < bench.model()->rowCount(); ++row)
            found +=
                bench.model()->index(row, BenchModel::kCandidate).data().toString().contains(QLatin1String("+lr8"));
        QCOMPARE(found, before - 1);
    }

    void figuresAreThoseOfTheBench()
    {
        Bench bench;
        QVERIFY(bench.openOnLayer());
        QVERIFY(bench.openActivations());
        const QAbstractItemModelTester tester(bench.model(), QAbstractItemModelTester::FailureReportingMode::QtTest);
        const QAbstractItemModelTester proxyTester(bench.table()->model(),
                                                   QAbstractItemModelTester::FailureReportingMode::QtTest);
        bench.quantizer("gptq")->setCheckState(Qt::Checked);
        bench.find<QLineEdit>("benchOtherSchemes")->setText(QStringLiteral("int3:g32:asym, bf16"));
        bench.find<QLineEdit>("benchOtherQuantizers")->setText(QStringLiteral("mse:steps=40"));
        QVERIFY(bench.run());
        const std::int64_t layer = bench.document.selection().current();
        QVERIFY(bench.table()->model()->rowCount() > 12);
        std::vector<Candidate> candidates;
        for (int row = 0; row < bench.model()->rowCount(); ++row)
            candidates.push_back(
                parseCandidate(bench.model()->index(row, BenchModel::kCandidate).data().toString().toStdString())
                    .value());
        BenchRequest request{
            .layers = {layer}, .candidates = candidates, .activations = bench.document.activations(), .targets = {}};
        for (const Target* target : allTargets())
            request.targets.push_back(&target->profile);
        std::vector<BenchEntry> entries;
        QVERIFY(ql::bench(
            bench.document.model(), request, [&](const BenchEntry& entry) { entries.push_back(entry); },
            JobContext(bench.executor)));
        markFront(entries);
        for (int row = 0; row < bench.model()->rowCount(); ++row) {
            const BenchEntry& entry = entries[static_cast<std::size_t>(row)];
            const auto cell = [&](int column) { return bench.model()->index(row, column); };
            QCOMPARE(cell(BenchModel::kBits).data(Qt::UserRole).toDouble(), entry.bitsPerWeight);
            QCOMPARE(cell(BenchModel::kBits).data().toString(), fixedText(entry.bitsPerWeight, 3));
            QCOMPARE(cell(BenchModel::kSqnr).data(Qt::UserRole).toDouble(), entry.error.sqnrDb());
            QCOMPARE(cell(BenchModel::kMse).data(Qt::UserRole).toDouble(), entry.error.mse());
            QCOMPARE(cell(BenchModel::kMax).data(Qt::UserRole).toDouble(), entry.error.maxAbsError);
            QCOMPARE(cell(BenchModel::kOutput).data(Qt::UserRole).toDouble(), *entry.outputError);
            QCOMPARE(cell(BenchModel::kFront).data().toString().isEmpty(), !entry.onFront);
            for (int column = 0; column < BenchModel::kColumns; ++column)
                QVERIFY(column == BenchModel::kFront || !cell(column).data().toString().isEmpty());
            QCOMPARE(cell(BenchModel::kTransform).data().toString(), QStringLiteral("none"));
            for (const std::string_view id : entry.runsIn)
                QVERIFY(findTarget(id).value()->profile.onlyStores ||
                        cell(BenchModel::kRunsIn).data().toString().contains(toQString(id)));
            if (entry.runsIn == std::vector<std::string_view>{"hdf5"})
                QCOMPARE(cell(BenchModel::kRunsIn).data().toString(), QStringLiteral("stored in hdf5 only"));
        }
        for (int column = 0; column < BenchModel::kColumns; ++column) {
            QVERIFY(!bench.model()->headerData(column, Qt::Horizontal).toString().isEmpty());
            bench.table()->sortByColumn(column, Qt::DescendingOrder);
            bench.table()->sortByColumn(column, Qt::AscendingOrder);
            QCOMPARE(bench.table()->model()->rowCount(), bench.model()->rowCount());
        }
        QVERIFY(!bench.table()->isColumnHidden(BenchModel::kOutput));
        QVERIFY(!bench.table()->isColumnHidden(BenchModel::kObjective));
        QVERIFY(bench.table()->isColumnHidden(BenchModel::kLayer));
        QVERIFY(bench.table()->isColumnHidden(BenchModel::kTransform));

        // Copied with a decimal point whatever the locale.
        bench.table()->setFocus();
        QTest::keyClick(bench.table(), Qt::Key_C, Qt::ControlModifier);
        const QStringList lines = QApplication::clipboard()->text().split(QLatin1Char('\n'), Qt::SkipEmptyParts);
        QCOMPARE(lines.size(), bench.model()->rowCount() + 1);
        QVERIFY(lines[0].contains(QStringLiteral("bits/weight\toutput error\tSQNR / dB")));
        QVERIFY(lines[1].contains(
            plainNumber(bench.table()->model()->index(0, BenchModel::kBits).data(Qt::UserRole).toDouble())));

        // The front moves with the error that is looked at.
        bench.find<QComboBox>("benchError")->setCurrentIndex(1);
        markFront(entries, true);
        for (int row = 0; row < bench.model()->rowCount(); ++row)
            QCOMPARE(bench.model()->index(row, BenchModel::kFront).data().toString().isEmpty(),
                     !entries[static_cast<std::size_t>(row)].onFront);
    }

    void whatNeedsInputsWaits()
    {
        Bench bench;
        QVERIFY(bench.openOnLayer());
        auto* calibrate = [&]() -> QPushButton* {
            for (auto* button : bench.widget->findChildren<QPushButton*>())
                if (button->text().contains(QLatin1String("Calibrate")))
                    return button;
            return nullptr;
        }();
        QVERIFY(calibrate && calibrate->isVisible());
        QVERIFY(!bench.quantizer("gptq")->flags().testFlag(Qt::ItemIsEnabled));
        QVERIFY(bench.quantizer("gptq")->toolTip().contains(QStringLiteral("XᵀX")));
        QVERIFY(bench.quantizer("mse")->flags().testFlag(Qt::ItemIsEnabled));
        // Asked for by text all the same: refused, with the reason.
        bench.find<QLineEdit>("benchOtherQuantizers")->setText(QStringLiteral("gptq:polish=4"));
        QVERIFY(bench.run());
        const int refused = [&] {
            for (int row = 0; row < bench.model()->rowCount(); ++row)
                if (!bench.model()->entry(row).refusal.empty())
                    return row;
            return -1;
        }();
        QVERIFY(refused >= 0);
        const QModelIndex cell = bench.model()->index(refused, BenchModel::kSqnr);
        QCOMPARE(cell.data().toString(), QStringLiteral("refused"));
        QVERIFY(cell.data(Qt::ToolTipRole).toString().contains(QLatin1String("activations")));
        QVERIFY(cell.data(Qt::ForegroundRole).isValid());
        QVERIFY(bench.says(QStringLiteral("refused")));
        QVERIFY(bench.table()->isColumnHidden(BenchModel::kOutput));
        QVERIFY(bench.openActivations());
        QVERIFY(bench.quantizer("gptq")->flags().testFlag(Qt::ItemIsEnabled));
    }

    /// Ticked transforms are variants beside the model: tried, compared, explained, and shown by one button, after
    /// which their candidates can be used.
    void variantsAreTriedAndUsed()
    {
        Bench bench;
        QVERIFY(bench.openOnLayer());
        QCOMPARE(bench.find<QListWidget>("benchTransforms")->count(),
                 static_cast<int>(allTransforms().size()) + 1); // and none
        QVERIFY(!bench.transform("awq")->flags().testFlag(Qt::ItemIsEnabled));
        QVERIFY(bench.transform("awq")->toolTip().contains(QStringLiteral("Calibrate…")));
        QVERIFY(bench.transform("hadamard")->flags().testFlag(Qt::ItemIsEnabled));
        QVERIFY(bench.openActivations());
        QVERIFY(bench.transform("awq")->flags().testFlag(Qt::ItemIsEnabled));
        const QAbstractItemModelTester tester(bench.model(), QAbstractItemModelTester::FailureReportingMode::QtTest);

        auto* list = bench.find<QListWidget>("benchTransforms");
        list->setFocus();
        list->setCurrentItem(bench.transform("awq"));
        QTest::keyClick(list, Qt::Key_Space);
        QVERIFY(bench.says(QStringLiteral("Run tries 10 candidates × 2 transforms on")));
        QTest::keyClick(list, Qt::Key_Return);
        auto* page = bench.widget->findChild<TransformPage*>();
        QVERIFY(page);
        QVERIFY(page->findChild<QTextBrowser*>()->toPlainText().contains(QStringLiteral("AWQ scaling")));
        QTest::keyClick(page, Qt::Key_Escape);
        // What is missing follows the options.
        const auto isMissing = [](const char* text) {
            const TransformSpec spec = parseTransforms(text).value().front();
            return !missingFor(needsOf(**findTransform(spec.id), spec), nullptr).isEmpty();
        };
        QVERIFY(isMissing("smooth") && isMissing("permute:stream=inputs") && !isMissing("permute"));
        auto* others = bench.find<QLineEdit>("benchOtherTransforms");
        QTest::keyClicks(others, QStringLiteral("magic"));
        QVERIFY(bench.says(QStringLiteral("unknown transform")));
        QVERIFY(!bench.start()->isEnabled());
        others->setText(QStringLiteral("smooth")); // needs ranges, which are not known
        QVERIFY(bench.run());
        QCOMPARE(bench.model()->rowCount(), 30);
        QVERIFY(!bench.table()->isColumnHidden(BenchModel::kTransform));
        QVERIFY(bench.says(QStringLiteral("10 refused")));
        const QString candidate = QStringLiteral("int4:g128:s=bf16@mse");
        const int refused = bench.rowOf(candidate, QStringLiteral("smooth"));
        QVERIFY(refused >= 0);
        QCOMPARE(bench.table()->model()->index(refused, BenchModel::kBits).data().toString(), QStringLiteral("—"));
        QVERIFY(bench.table()
                    ->model()
                    ->index(refused, BenchModel::kCandidate)
                    .data(Qt::ToolTipRole)
                    .toString()
                    .contains(QStringLiteral("only squares are known")));

        // The chart's legend names transforms by colour and quantizers by shape; every point is there once.
        const auto points = [&] {
            int count = 0;
            QStringList names;
            for (const QAbstractSeries* series : bench.chart()->chart()->series())
                if (const auto* marks = qobject_cast<const QScatterSeries*>(series)) {
                    count += marks->count();
                    if (!marks->name().isEmpty())
                        names << marks->name();
                }
            return std::pair(count, names);
        };
        QTRY_COMPARE(points().first, 20); // no row is chosen yet, so nothing is ringed
        for (const char* name : {"none", "awq", "rtn", "mse"})
            QVERIFY2(points().second.contains(QLatin1String(name)), name);

        // An entry of another variant says what to do first, and the button does it.
        const int row = bench.rowOf(candidate, QStringLiteral("awq"));
        QVERIFY(row >= 0);
        bench.choose(row);
        auto* offer = bench.find<QPushButton>("benchOffer");
        auto* assign = bench.find<QPushButton>("benchAssign");
        auto* show = bench.find<QPushButton>("benchTransform");
        QVERIFY(!offer->isEnabled() && !assign->isEnabled() && show->isVisible());
        QVERIFY(assign->toolTip().contains(QStringLiteral("Model ▸ Transform…")));
        Document& d = bench.document;
        const std::int64_t layer = d.model()->indexOf(kLayer);
        QTest::mouseClick(show, Qt::LeftButton);
        auto* dialog = bench.widget->findChild<TransformDialog*>();
        QVERIFY(dialog);
        QCOMPARE(dialog->findChild<QLineEdit*>(QStringLiteral("transformText"))->text(), QStringLiteral("awq"));
        QSignalSpy transformed(&d, &Document::transformed);
        QTest::keyClick(dialog, Qt::Key_Return);
        QVERIFY(transformed.wait(60000));
        QCOMPARE(d.variantText(), std::string("awq"));
        QVERIFY(bench.settle());
        QCOMPARE(bench.model()->rowCount(), 30); // still there
        bench.choose(row);
        QVERIFY(assign->isEnabled());
        QVERIFY(!show->isVisible());
        QTest::mouseClick(assign, Qt::LeftButton);
        QCOMPARE(toQString(printCandidate(d.candidate(d.model()->indexOf(kLayer)))), candidate);
        QVERIFY(bench.settle());
        d.undoStack().undo(); // the candidate
        d.undoStack().undo(); // the variant
        QCOMPARE(d.variantText(), std::string());
        QVERIFY(d.candidate(layer).weights.isKeep());
        bench.choose(bench.rowOf(candidate, QStringLiteral("none")));
        QVERIFY(assign->isEnabled());
        QVERIFY(bench.settle());
        QVERIFY(bench.jobs.failures().empty());
    }

    void wrongTextsAreProblems()
    {
        Bench bench;
        QVERIFY(bench.openOnLayer());
        auto* others = bench.find<QLineEdit>("benchOtherSchemes");
        QTest::keyClicks(others, QStringLiteral("int99"));
        QVERIFY(bench.says(QStringLiteral("int2 … int8")));
        QVERIFY(!bench.start()->isEnabled());
        others->clear();
        QVERIFY(bench.start()->isEnabled());
        auto* schemes = bench.find<QTreeWidget>("benchSchemes");
        for (int group = 0; group < schemes->topLevelItemCount(); ++group)
            for (int i = 0; i < schemes->topLevelItem(group)->childCount(); ++i)
                schemes->topLevelItem(group)->child(i)->setCheckState(0, Qt::Unchecked);
        QVERIFY(!bench.start()->isEnabled());
        QTest::keyClicks(others, QStringLiteral("int3:g64"));
        QTest::keyClick(others, Qt::Key_Return); // runs
        QVERIFY(bench.settle());
        QCOMPARE(bench.model()->rowCount(), 2); // rtn and mse
    }

    void stopKeepsWhatThereIs()
    {
        Bench bench;
        QVERIFY(bench.openOnLayer());
        bench.find<QComboBox>("benchLayers")->setCurrentIndex(2);
        bench.find<QLineEdit>("benchOtherQuantizers")->setText(QStringLiteral("mse:steps=1000"));
        QTest::mouseClick(bench.start(), Qt::LeftButton);
        QVERIFY(bench.start()->text().contains(QLatin1String("Stop")));
        QTRY_VERIFY_WITH_TIMEOUT(bench.model()->rowCount() > 1, 30000);
        QVERIFY(bench.says(QStringLiteral("tried")));
        QTest::mouseClick(bench.start(), Qt::LeftButton);
        QVERIFY(bench.settle());
        const int kept = bench.model()->rowCount();
        QVERIFY(kept > 1);
        QVERIFY2(bench.says(QStringLiteral("stopped")), qPrintable(QString::number(kept)));
        QVERIFY(bench.jobs.failures().empty());
        // Again, of one layer.
        bench.find<QComboBox>("benchLayers")->setCurrentIndex(0);
        bench.find<QLineEdit>("benchOtherQuantizers")->clear();
        QVERIFY(bench.run());
        QCOMPARE(bench.model()->rowCount(), 10);
        // Another model: nothing is left.
        bench.document.close();
        QCOMPARE(bench.model()->rowCount(), 0);
    }

    void severalLayers()
    {
        Bench bench;
        QVERIFY(bench.openOnLayer());
        const Model& model = *bench.document.model();
        bench.document.selection().setSelected({model.indexOf(kLayer), model.indexOf("model.norm.weight"),
                                                model.indexOf("model.layers.1.mlp.up_proj.weight")});
        bench.find<QComboBox>("benchLayers")->setCurrentIndex(1);
        QVERIFY(bench.run());
        QCOMPARE(bench.model()->rowCount(), 20);
        QVERIFY(!bench.table()->isColumnHidden(BenchModel::kLayer));
    }

    void pointsAndRowsFollowEachOther()
    {
        Bench bench;
        QVERIFY(bench.openOnLayer());
        bench.find<QLineEdit>("benchOtherSchemes")->setText(QStringLiteral("f32"));
        QVERIFY(bench.run());
        QVERIFY(QTest::qWaitFor([&] { return bench.chart()->chart()->series().size() > 2; }, 5000));
        const auto& entry = bench.model()->entry(3);
        const QPointF value(entry.bitsPerWeight, benchError(entry, false));
        // f32 is exact: it is counted in words, not drawn at the end of a logarithmic axis.
        const auto axes = bench.chart()->chart()->axes(Qt::Horizontal);
        QVERIFY(axes.front()->titleText().contains(QLatin1String("1 exact")));
        for (const int height : {190, 320}) {
            bench.widget->resize(1500, height);
            QTRY_VERIFY(test::hasCaption(*bench.chart(), QStringLiteral("weight error (inputs unknown)")));
        }
        QTest::qWait(50); // the chart lays itself out
        const QPoint pixel = bench.chart()->chart()->mapToPosition(value).toPoint();
        QSignalSpy hovered(bench.chart(), &BenchChart::pointHovered);
        QTest::mouseMove(bench.chart()->viewport(), pixel);
        QTRY_VERIFY(!hovered.isEmpty());
        const int row = hovered.last().first().toInt();
        QVERIFY(row >= 0);
        QVERIFY(bench.model()->index(row, 0).data(Qt::BackgroundRole).isValid());
        QTest::mouseClick(bench.chart()->viewport(), Qt::LeftButton, {}, pixel);
        const auto* proxy = qobject_cast<QSortFilterProxyModel*>(bench.table()->model());
        QCOMPARE(proxy->mapToSource(bench.table()->currentIndex()).row(), row);
        const auto* ring = qobject_cast<QScatterSeries*>(bench.chart()->chart()->series().last());
        QVERIFY(ring);
        QCOMPARE(ring->count(), 1);
        QCOMPARE(ring->at(0).x(), bench.model()->entry(row).bitsPerWeight);
    }

    void explainsAnEntry()
    {
        Bench bench;
        QVERIFY(bench.openOnLayer());
        QVERIFY(bench.run());
        bench.choose(0);
        bench.table()->setFocus();
        const QString candidate = bench.table()->currentIndex().data().toString();
        QTest::keyClick(bench.table(), Qt::Key_Return);
        auto* page = bench.widget->findChild<EntryPage*>();
        QVERIFY(page);
        QCOMPARE(page->windowTitle(), candidate);
        QVERIFY(bench.settle());
        const QString text = page->findChild<QTextBrowser*>()->toPlainText();
        for (const char* word : {"restored", "source", "runs in", "Storage of W", "bits per weight"})
            QVERIFY2(text.contains(QLatin1String(word)), word);
        QVERIFY(text.contains(fixedText(bench.model()->entry(0).bitsPerWeight, 4)) ||
                text.contains(QLatin1String("4.")) || text.contains(QLatin1String("4,")));
        QVERIFY(std::ranges::any_of(page->findChildren<QLabel*>(), [](const QLabel* label) {
            return label->text().contains(QLatin1String("median of its scales"));
        }));
        QTest::keyClick(page, Qt::Key_Escape);
        QTRY_VERIFY(!bench.widget->findChild<EntryPage*>());
        // Entries of the lists, by Enter; one whose codes are of several weights has no levels.
        auto* tree = bench.find<QTreeWidget>("benchSchemes");
        tree->setCurrentItem(bench.scheme(QStringLiteral("nf4:g128")));
        QTest::keyClick(tree, Qt::Key_Return);
        QVERIFY(bench.widget->findChild<EntryPage*>());
        delete bench.widget->findChild<EntryPage*>(); // while its job may still run
        auto* list = bench.find<QListWidget>("benchQuantizers");
        list->setCurrentItem(bench.quantizer("mse"));
        QTest::keyClick(list, Qt::Key_Return);
        page = bench.widget->findChild<EntryPage*>();
        QVERIFY(page && page->windowTitle().contains(QLatin1String("@mse")));
        QVERIFY(page->findChild<QTextBrowser*>()->toPlainText().contains(QStringLiteral("steps=1…1000")));
        QVERIFY(bench.settle());
    }

    void offersAndAssigns()
    {
        Bench bench;
        QVERIFY(bench.openOnLayer());
        Document& d = bench.document;
        bench.find<QLineEdit>("benchOtherSchemes")->setText(QStringLiteral("int4:g32,nf4:g32"));
        QVERIFY(bench.run());
        const int row = bench.rowOf(QStringLiteral("int4:g32@mse"));
        QVERIFY(row >= 0);
        bench.choose(row);
        auto* offer = bench.find<QPushButton>("benchOffer");
        QVERIFY(offer->isEnabled());
        const std::size_t before = d.table().candidates.size();
        QTest::mouseClick(offer, Qt::LeftButton);
        QCOMPARE(d.table().candidates.size(), before + 1);
        QVERIFY(d.table().candidates.back() == *parseCandidate("int4:g32@mse"));
        QVERIFY(!offer->isEnabled());
        QVERIFY(bench.settle());
        d.undoStack().undo();
        QCOMPARE(d.table().candidates.size(), before);
        QVERIFY(d.ownCandidates().empty());
        QVERIFY(offer->isEnabled());

        const std::int64_t layer = d.selection().current();
        const Candidate was = d.candidate(layer);
        auto* assign = bench.find<QPushButton>("benchAssign");
        QVERIFY(assign->isEnabled());
        const int steps = d.undoStack().index();
        QTest::mouseClick(assign, Qt::LeftButton);
        QCOMPARE(d.undoStack().index(), steps + 1);
        QCOMPARE(printQuantizerSpec(d.candidate(layer).quantizer), std::string("mse"));
        QVERIFY(bench.settle());
        d.undoStack().undo();
        QVERIFY(d.candidate(layer) == was);
        QCOMPARE(d.table().candidates.size(), before);
        d.undoStack().redo();
        QCOMPARE(printQuantizerSpec(d.candidate(layer).quantizer), std::string("mse"));
        QVERIFY(bench.settle());
        d.setLocked(std::vector<std::int64_t>{layer}, true);
        QVERIFY(!assign->isEnabled());
        QVERIFY(assign->toolTip().contains(QLatin1String("locked")));
        d.setLocked(std::vector<std::int64_t>{layer}, false);
        // What the target does not take says why.
        d.setTarget(*findTarget("compressed-tensors"));
        QVERIFY(bench.settle());
        bench.choose(bench.rowOf(QStringLiteral("nf4:g32")));
        QVERIFY(!assign->isEnabled());
        QVERIFY(assign->toolTip().contains(QLatin1String("nf4:g32")));
    }

    void byKeyboardAlone()
    {
        Bench bench;
        QVERIFY(bench.openOnLayer());
        QVERIFY(bench.activate());
        auto* tree = bench.find<QTreeWidget>("benchSchemes");
        tree->setFocus();
        tree->setCurrentItem(bench.scheme(QStringLiteral("nf4:g128")));
        QTest::keyClick(tree, Qt::Key_Space);
        QCOMPARE(bench.scheme(QStringLiteral("nf4:g128"))->checkState(0), Qt::Checked);
        QVERIFY(bench.says(QStringLiteral("Run tries 12 candidates")));
        // Tab reaches everything and leaves every list.
        QSet<QWidget*> reached;
        for (int i = 0; i < 40; ++i) {
            QTest::keyClick(bench.widget->focusWidget(), Qt::Key_Tab);
            reached << bench.widget->focusWidget();
        }
        for (QWidget* wanted :
             {static_cast<QWidget*>(tree), static_cast<QWidget*>(bench.start()), static_cast<QWidget*>(bench.table()),
              static_cast<QWidget*>(bench.chart()), static_cast<QWidget*>(bench.find<QListWidget>("benchQuantizers")),
              static_cast<QWidget*>(bench.find<QListWidget>("benchTransforms"))})
            QVERIFY2(reached.contains(wanted), qPrintable(wanted->objectName()));
        tree->setFocus();
        QTest::keyClick(tree, Qt::Key_Return, Qt::ControlModifier);
        QVERIFY(bench.settle());
        QCOMPARE(bench.model()->rowCount(), 12);
        bench.table()->setFocus();
        bench.choose(0);
        QTest::keyClick(bench.table(), Qt::Key_Down);
        QCOMPARE(bench.table()->currentIndex().row(), 1);
    }
};

QTEST_MAIN(BenchPanelTest)
#include "bench_test.moc"
