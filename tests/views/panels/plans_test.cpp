// SPDX-License-Identifier: GPL-3.0-or-later
// The panel of named plans by mouse and keyboard: branch, name, copy, switch, delete, compare, take layers, measure.
#include "tests/support/opened_panel.h"
#include "views/dialogs/validate_dialog.h"
#include "views/document/plan_figures.h"
#include "views/panels/plan_changes.h"
#include "views/panels/plans/plans_model.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QAbstractItemModelTester>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QTableView>

#include <cmath>

using namespace ql;
using namespace ql::views;

namespace {

struct Plans : test::OpenedPanel {
    Plans() : OpenedPanel("plans", {1500, 320}) {}
    bool openAndShow() { return open() && QTest::qWaitForWindowExposed(widget.get()) && activate() && settle(); }
    template<typename T>
    T* find(const char* name) const
    {
        return widget->findChild<T*>(QLatin1String(name));
    }
    void click(const char* name) const { QTest::mouseClick(find<QPushButton>(name), Qt::LeftButton); }
    QTableView* table() const { return find<QTableView>("plansTable"); }
    PlansModel* model() const { return widget->findChild<PlansModel*>(); }
    QAbstractItemModel* changes() const { return find<QTableView>("planChanges")->model(); }
    QString comparison() const { return find<QLabel>("planComparison")->text(); }
    QString cell(int row, int column) const { return model()->index(row, column).data().toString(); }
    void choose(int row) const { table()->setCurrentIndex(model()->index(row, PlansModel::kName)); }
    /// The name that is being edited.
    QLineEdit* editor() const { return table()->findChild<QLineEdit*>(); }
    /// "Plan 1" as stored, and "low", which is current.
    void branchLow()
    {
        document.branchPlan(QStringLiteral("low"));
        lowerAll();
    }
};

} // namespace

class PlansTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { applyTheme(ThemeChoice::light); }

    void branchNameAndSwitch()
    {
        Plans plans;
        QCOMPARE(plans.model()->rowCount(), 0);
        QVERIFY(!plans.find<QPushButton>("planNew")->isEnabled());
        QVERIFY(plans.openAndShow());
        const QAbstractItemModelTester tester(plans.model(), QAbstractItemModelTester::FailureReportingMode::QtTest);
        const QAbstractItemModelTester changesTester(plans.changes(),
                                                     QAbstractItemModelTester::FailureReportingMode::QtTest);
        Document& d = plans.document;
        QCOMPARE(plans.model()->rowCount(), 1);
        QVERIFY(!plans.find<QPushButton>("planDelete")->isEnabled());
        plans.click("planNew");
        QCOMPARE(plans.model()->rowCount(), 2);
        QCOMPARE(d.namedPlans().current, std::size_t{1});
        QVERIFY(plans.editor()); // it wants a name at once
        QTest::keyClick(plans.editor(), Qt::Key_A, Qt::ControlModifier);
        QTest::keyClicks(plans.editor(), QStringLiteral("low"));
        QTest::keyClick(plans.editor(), Qt::Key_Return);
        QTRY_COMPARE(plans.cell(1, PlansModel::kName), QStringLiteral("low"));
        plans.lowerAll();
        QTRY_COMPARE(plans.cell(1, PlansModel::kBits), fixedText(d.totals().bitsPerWeight, 3));
        QVERIFY(d.totals().loss > 0);
        QCOMPARE(plans.cell(1, PlansModel::kLoss), numberText(d.totals().loss, 4));
        QTRY_COMPARE(plans.cell(1, PlansModel::kSize), bytesText(d.totals().fileBytes.value_or(0)));
        for (const auto column : {PlansModel::kSize, PlansModel::kBits, PlansModel::kLoss, PlansModel::kMeasured})
            QVERIFY(!plans.model()->headerData(column, Qt::Horizontal, Qt::ToolTipRole).toString().isEmpty());
        QVERIFY(plans.model()->index(1, 0).data(Qt::FontRole).value<QFont>().bold());
        QVERIFY(!plans.model()->index(0, 0).data(Qt::FontRole).isValid());
        // Up and Enter switches; so does a double click, back.
        const Plan low = d.plan();
        plans.table()->setFocus();
        QTest::keyClick(plans.table(), Qt::Key_Up);
        QTest::keyClick(plans.table(), Qt::Key_Return);
        QCOMPARE(d.namedPlans().current, std::size_t{0});
        QVERIFY(d.candidate(d.planLayers().back()).weights.isKeep());
        const QRect second = plans.table()->visualRect(plans.model()->index(1, PlansModel::kBits));
        QTest::mouseClick(plans.table()->viewport(), Qt::LeftButton, {}, second.center());
        QTest::mouseDClick(plans.table()->viewport(), Qt::LeftButton, {}, second.center());
        QCOMPARE(d.namedPlans().current, std::size_t{1});
        QCOMPARE(d.plan(), low);
        d.undoStack().undo();
        QCOMPARE(d.namedPlans().current, std::size_t{0});
        QCOMPARE(plans.model()->rowCount(), 2);
        plans.document.close();
        QCOMPARE(plans.model()->rowCount(), 0);
    }

    void copiesRenamesAndDeletes()
    {
        Plans plans;
        QVERIFY(plans.openAndShow());
        plans.branchLow();
        Document& d = plans.document;
        plans.choose(0);
        plans.click("planCopy");
        QCOMPARE(plans.cell(2, PlansModel::kName), QStringLiteral("Plan 2"));
        QCOMPARE(d.namedPlans().current, std::size_t{1});
        QCOMPARE(d.namedPlan(2)->candidates, d.namedPlan(0)->candidates);
        plans.choose(2);
        plans.table()->setFocus();
        QTest::keyClick(plans.table(), Qt::Key_F2);
        QVERIFY(plans.editor());
        QTest::keyClicks(plans.editor(), QStringLiteral("again"));
        QTest::keyClick(plans.editor(), Qt::Key_Return);
        QTRY_COMPARE(plans.cell(2, PlansModel::kName), QStringLiteral("again"));
        plans.choose(0);
        QTest::keyClick(plans.table(), Qt::Key_Delete);
        QCOMPARE(plans.model()->rowCount(), 2);
        QCOMPARE(plans.cell(0, PlansModel::kName), QStringLiteral("low"));
        plans.choose(0);
        plans.click("planDelete"); // the current one
        QCOMPARE(plans.model()->rowCount(), 1);
        QVERIFY(!plans.find<QPushButton>("planDelete")->isEnabled());
        d.undoStack().undo();
        d.undoStack().undo();
        QCOMPARE(plans.model()->rowCount(), 3);
    }

    void whatDiffersIsListedAndTaken()
    {
        Plans plans;
        QVERIFY(plans.openAndShow());
        plans.branchLow();
        Document& d = plans.document;
        d.switchPlan(0);
        QCOMPARE(plans.changes()->rowCount(), 0);
        plans.choose(1);
        const Plan before = d.plan();
        const Plan low = *d.namedPlan(1);
        int row = 0;
        double loss = 0;
        for (const std::int64_t layer : d.planLayers()) {
            const auto i = static_cast<std::size_t>(layer);
            if (before.candidates[i] == low.candidates[i])
                continue;
            const auto at = [&](int column) { return plans.changes()->index(row, column); };
            QCOMPARE(at(PlanChanges::kLayer).data(Qt::UserRole).toLongLong(), layer);
            QCOMPARE(at(PlanChanges::kBefore).data().toString(), toQString(printCandidate(before.candidates[i])));
            QCOMPARE(at(PlanChanges::kAfter).data().toString(), toQString(printCandidate(low.candidates[i])));
            const std::int64_t bits = layerPayloadBits(d.layer(layer), low.candidates[i]) -
                                      layerPayloadBits(d.layer(layer), before.candidates[i]);
            QVERIFY(std::llabs(at(PlanChanges::kBytes).data(Qt::UserRole).toLongLong() * 8 - bits) < 16);
            QVERIFY(at(PlanChanges::kBytes).data().toString().startsWith(QLatin1Char('-')));
            QVERIFY(at(PlanChanges::kLoss).data().toString().startsWith(QLatin1Char('+')));
            loss += at(PlanChanges::kLoss).data(Qt::UserRole).toDouble();
            ++row;
        }
        QCOMPARE(plans.changes()->rowCount(), row);
        QVERIFY(row > 3);
        QVERIFY(std::fabs(loss - predictLoss(d.table(), low)) <= 1e-12 * loss);
        QVERIFY2(plans.comparison().contains(QStringLiteral("%1 layers differ").arg(row)),
                 qPrintable(plans.comparison()));
        const QString lost = numberText(predictLoss(d.table(), low)) + QLatin1Char(' ') + toQString(d.metric()->unit);
        QVERIFY2(plans.comparison().contains(lost), qPrintable(plans.comparison()));
        // One layer, by key; then all.
        auto* take = plans.find<QPushButton>("planTake");
        auto* table = plans.find<QTableView>("planChanges");
        QVERIFY(!take->isEnabled());
        table->setFocus();
        table->setCurrentIndex(plans.changes()->index(1, 0));
        const std::int64_t layer = plans.changes()->index(1, 0).data(Qt::UserRole).toLongLong();
        QCOMPARE(d.selection().current(), layer);
        QVERIFY(take->isEnabled());
        QTest::mouseClick(take, Qt::LeftButton);
        QVERIFY(d.candidate(layer) == low.candidates[static_cast<std::size_t>(layer)]);
        QVERIFY(plans.changes()->rowCount() < row);
        QTest::keyClick(table, Qt::Key_A, Qt::ControlModifier);
        QTest::mouseClick(take, Qt::LeftButton);
        QCOMPARE(d.plan().candidates, low.candidates);
        QCOMPARE(plans.changes()->rowCount(), 0);
        d.undoStack().undo();
        d.undoStack().undo();
        QCOMPARE(d.plan(), before);
        QCOMPARE(plans.changes()->rowCount(), row);
        // Two others are compared with each other, and nothing is taken.
        d.addPlan(QStringLiteral("third"), low);
        plans.table()->selectionModel()->clearSelection();
        for (const int other : {1, 2})
            plans.table()->selectionModel()->select(plans.model()->index(other, 0),
                                                    QItemSelectionModel::Select | QItemSelectionModel::Rows);
        QVERIFY2(plans.comparison().startsWith(QLatin1String("third against low: no layer differs")),
                 qPrintable(plans.comparison()));
        QVERIFY(!take->isEnabled());
    }

    void measuresThePlanThatIsChosen()
    {
        Plans plans;
        QVERIFY(plans.openAndShow());
        plans.branchLow();
        Document& d = plans.document;
        plans.choose(0);
        plans.click("planMeasure"); // nothing was validated yet: it asks
        auto* dialog = plans.widget->findChild<ValidateDialog*>();
        QVERIFY(dialog);
        QVERIFY(dialog->windowTitle().contains(QLatin1String("Plan 1")));
        delete dialog;
        QVERIFY(plans.settle());
        plans.runs.validations.start(
            {.source = plans.text(QStringLiteral("test.txt")), .portion = {64, 3}, .runtime = nullptr});
        QVERIFY(plans.settle());
        QCOMPARE(plans.runs.validations.records().size(), std::size_t{1});
        const double kld = plans.runs.validations.records().front().last().kld.value;
        QVERIFY(kld > 0);
        QVERIFY2(plans.cell(1, PlansModel::kMeasured).startsWith(numberText(kld)),
                 qPrintable(plans.cell(1, PlansModel::kMeasured)));
        QCOMPARE(plans.cell(0, PlansModel::kMeasured), QStringLiteral("not yet"));
        plans.choose(0);
        plans.click("planMeasure"); // as the last
        QVERIFY(plans.runs.validations.isRunning());
        QVERIFY(!plans.find<QPushButton>("planMeasure")->isEnabled());
        QVERIFY(plans.settle());
        QCOMPARE(plans.runs.validations.records().size(), std::size_t{2});
        const ValidationRecord& record = plans.runs.validations.records().back();
        QCOMPARE(parsePlan(record.planJson.toStdString(), *d.model())->candidates, d.namedPlan(0)->candidates);
        QCOMPARE(record.last().windows, std::int64_t{3});
        QCOMPARE(record.predictedLoss, 0.0);
        QVERIFY(record.last().kld.value < kld);
        QVERIFY(plans.cell(0, PlansModel::kMeasured) != QStringLiteral("not yet"));
        QVERIFY2(plans.comparison().contains(QLatin1String("measured")) &&
                     plans.comparison().endsWith(QLatin1String("nats per token")),
                 qPrintable(plans.comparison()));
        // An edit is another plan: what was measured is not of it.
        d.switchPlan(1);
        const LayerColumn change{d.planLayers().back(), d.ladder(d.planLayers().back()).back()};
        d.assign(std::span(&change, 1), QStringLiteral("edit"));
        QCOMPARE(plans.cell(1, PlansModel::kMeasured), QStringLiteral("not yet"));
        d.undoStack().undo();
        QVERIFY(plans.cell(1, PlansModel::kMeasured) != QStringLiteral("not yet"));
    }
};

QTEST_MAIN(PlansTest)
#include "plans_test.moc"
