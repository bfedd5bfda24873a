// SPDX-License-Identifier: GPL-3.0-or-later
// The Pareto front: what it holds, and its marks by mouse and keyboard.
#include "tests/support/opened_sample.h"
#include "views/panels/panel.h"
#include "views/panels/pareto/pareto_chart.h"
#include "views/panels/pareto/plan_front.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QLabel>
#include <QPushButton>
#include <QScatterSeries>
#include <QTableView>

#include <algorithm>
#include <cmath>

using namespace ql;
using namespace ql::views;

namespace {

struct Pareto : test::OpenedSample {
    std::unique_ptr<QWidget> widget;

    Pareto()
    {
        const Panel& panel = **std::ranges::find(allPanels(), std::string_view("pareto"),
                                                 [](const Panel* p) { return std::string_view(p->id); });
        widget.reset(panel.create({document, jobs, runs}, nullptr));
        widget->resize(1300, 320);
        widget->show();
    }
    ParetoChart* chart() const { return widget->findChild<ParetoChart*>(); }
    QPushButton* button(const char* name) const { return widget->findChild<QPushButton*>(QLatin1String(name)); }
    QString summary() const { return widget->findChild<QLabel*>(QStringLiteral("paretoSummary"))->text(); }
    bool openAndSolve() { return open() && QTest::qWaitForWindowExposed(widget.get()) && solved(); }
    bool solved()
    {
        return QTest::qWaitFor([this] { return summary().contains(QLatin1String("plans that none beats")); }, 30000) &&
               settle();
    }
    PlanFront front(const Plan& start, int budgets)
    {
        const auto table = document.tableSnapshot();
        BalanceRequest request;
        request.table = table.get();
        request.start = start;
        request.target = document.target() ? &document.target()->profile : nullptr;
        return planFront(*document.model(), request, budgets, JobContext(executor)).value();
    }
};

} // namespace

class ParetoTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { applyTheme(ThemeChoice::light); }

    void plansOfTheFrontBeatEachOther()
    {
        Pareto pareto;
        QVERIFY(pareto.open());
        Document& d = pareto.document;
        const PlanFront front = pareto.front(d.plan(), 30);
        QVERIFY(front.plans.size() > 5);
        for (std::size_t i = 0; i < front.plans.size(); ++i) {
            const FrontPlan& plan = front.plans[i];
            QCOMPARE(plan.loss, predictLoss(d.table(), *plan.plan));
            QCOMPARE(plan.fileBytes, *d.target()->profile.fileBytes(*d.model(), *plan.plan));
            if (i == 0)
                continue;
            QVERIFY(plan.bitsPerWeight > front.plans[i - 1].bitsPerWeight);
            QVERIFY(plan.loss < front.plans[i - 1].loss);
        }
        // The ends: nothing is smaller than the lowest candidates, nothing loses less than what is kept.
        pareto.lowerAll();
        QVERIFY(std::fabs(front.plans.front().bitsPerWeight - d.totals().bitsPerWeight) < 1e-9);
        QCOMPARE(front.plans.back().loss, 0.0);
        // No plan of the solver's at the same size is better.
        BalanceRequest request;
        const auto table = d.tableSnapshot();
        request.table = table.get();
        request.start = d.plan();
        request.target = &d.target()->profile;
        const FrontPlan& middle = front.plans[front.plans.size() / 2];
        request.bitsPerWeight = middle.bitsPerWeight + 1e-9;
        QCOMPARE(balance(*d.model(), request, JobContext(pareto.executor))->predictedLoss, middle.loss);
        // What is locked stays in all of them; where all is locked nothing is left to decide.
        Plan locked = d.plan();
        const auto layer = static_cast<std::size_t>(d.planLayers().back());
        locked.locked[layer] = true;
        for (const FrontPlan& plan : pareto.front(locked, 8).plans)
            QVERIFY(plan.plan->candidates[layer] == locked.candidates[layer]);
        locked.locked.assign(locked.locked.size(), true);
        QVERIFY(pareto.front(locked, 8).plans.empty());
    }

    void aClickShowsADoubleClickAdopts()
    {
        Pareto pareto;
        QVERIFY(!pareto.button("paretoAdopt")->isEnabled());
        QVERIFY(pareto.openAndSolve());
        Document& d = pareto.document;
        const Plan before = d.plan();
        auto* chart = pareto.chart();
        QTest::qWait(50); // the chart lays itself out
        constexpr int kMark = 3;
        const QPoint pixel = chart->positionOf(kMark).toPoint();
        QTest::mouseClick(chart->viewport(), Qt::LeftButton, {}, pixel);
        QCOMPARE(chart->chosen(), kMark);
        QCOMPARE(d.plan(), before);
        QVERIFY(pareto.button("paretoAdopt")->isEnabled());
        auto* changes = pareto.widget->findChild<QTableView*>()->model();
        QVERIFY(changes->rowCount() > 0);
        QVERIFY(pareto.summary().contains(QLatin1String("change")));
        QTest::mouseDClick(chart->viewport(), Qt::LeftButton, {}, pixel);
        QVERIFY(!(d.plan() == before));
        QCOMPARE(d.undoStack().count(), 1);
        QCOMPARE(changes->rowCount(), 0);
        const Plan adopted = d.plan();
        const PlanFront front = pareto.front(before, 40);
        QCOMPARE(adopted.candidates, front.plans[kMark].plan->candidates);
        d.undoStack().undo();
        QCOMPARE(d.plan(), before);
        QVERIFY(changes->rowCount() > 0); // it is still chosen
    }

    void byKeys()
    {
        Pareto pareto;
        QVERIFY(pareto.openAndSolve());
        Document& d = pareto.document;
        pareto.widget->activateWindow();
        QVERIFY(QTest::qWaitForWindowActive(pareto.widget.get()));
        auto* chart = pareto.chart();
        chart->setFocus();
        QTest::keyClick(chart, Qt::Key_Home);
        QCOMPARE(chart->chosen(), 0);
        QTest::keyClick(chart, Qt::Key_Right);
        QTest::keyClick(chart, Qt::Key_Right);
        QCOMPARE(chart->chosen(), 2);
        QTest::keyClick(chart, Qt::Key_Left);
        QCOMPARE(chart->chosen(), 1);
        const Plan before = d.plan();
        QTest::keyClick(chart, Qt::Key_Return);
        QCOMPARE(d.undoStack().count(), 1);
        QVERIFY(!(d.plan() == before));
        QTest::keyClick(chart, Qt::Key_End);
        QVERIFY(chart->chosen() > 3);
        QTest::keyClick(chart, Qt::Key_Escape);
        QCOMPARE(chart->chosen(), -1);
        QVERIFY(!pareto.button("paretoAdopt")->isEnabled());
        // Nothing of it is left when the work is closed, nor a mark that is chosen.
        QTest::keyClick(chart, Qt::Key_Home);
        d.close();
        QVERIFY(!pareto.button("paretoAdopt")->isEnabled());
    }

    void aPlanOfTheFrontIsKeptAndSwitchedTo()
    {
        Pareto pareto;
        QVERIFY(pareto.openAndSolve());
        Document& d = pareto.document;
        const Plan before = d.plan();
        auto* chart = pareto.chart();
        QTest::keyClick(chart, Qt::Key_Home);
        QTest::mouseClick(pareto.button("paretoKeep"), Qt::LeftButton);
        QCOMPARE(d.namedPlans().plans.size(), std::size_t{2});
        QCOMPARE(d.plan(), before);
        QCOMPARE(chart->chosen(), 0); // of the two in the same place the one of the front
        QVERIFY(d.namedPlans().plans.back().name.contains(QLatin1String("B"))); // its size
        d.switchPlan(1);
        QVERIFY(!(d.plan() == before));
    }

    void locksChangeTheFront()
    {
        Pareto pareto;
        QVERIFY(pareto.openAndSolve());
        Document& d = pareto.document;
        const std::int64_t layer = d.model()->indexOf("model.layers.0.mlp.down_proj.weight");
        d.setLocked(std::vector<std::int64_t>{layer}, true);
        QVERIFY(!pareto.summary().contains(QLatin1String("plans that none beats")));
        QVERIFY(pareto.solved());
        QTest::keyClick(pareto.chart(), Qt::Key_Home);
        QTest::keyClick(pareto.chart(), Qt::Key_Return);
        QVERIFY(d.candidate(layer).weights.isKeep());
        QVERIFY(!d.candidate(d.model()->indexOf("model.layers.1.mlp.down_proj.weight")).weights.isKeep());
    }

    void whatWasMeasuredIsFilled()
    {
        Pareto pareto;
        QVERIFY(pareto.openAndSolve());
        const auto filled = [&] {
            int count = 0;
            for (QAbstractSeries* series : pareto.chart()->chart()->series())
                if (auto* marks = qobject_cast<QScatterSeries*>(series);
                    marks && marks->color().alpha() > 0 && marks->color() != colors(pareto.chart()->palette()).surface)
                    count += static_cast<int>(marks->count());
            return count;
        };
        QCOMPARE(filled(), 0);
        QTest::keyClick(pareto.chart(), Qt::Key_Home);
        QTest::keyClick(pareto.chart(), Qt::Key_Return); // the smallest becomes the plan
        QTest::keyClick(pareto.chart(), Qt::Key_Escape);
        pareto.runs.validations.start(
            {.source = pareto.text(QStringLiteral("test.txt")), .portion = {64, 2}, .runtime = nullptr});
        QVERIFY(pareto.settle());
        QCOMPARE(filled(), 2); // the mark of the front and the diamond, one on the other
        QTest::keyClick(pareto.chart(), Qt::Key_Home);
        QVERIFY(pareto.summary().contains(QLatin1String("measured")));
        QVERIFY(pareto.jobs.failures().empty());
    }
};

QTEST_MAIN(ParetoTest)
#include "pareto_test.moc"
