// SPDX-License-Identifier: GPL-3.0-or-later
// The Pareto front: what it holds, and its marks by mouse and keyboard.
#include "tests/support/chart_texts.h"
#include "tests/support/opened_panel.h"
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

struct Pareto : test::OpenedPanel {
    Pareto() : OpenedPanel("pareto", {1300, 320}) {}
    ParetoChart* chart() const { return widget->findChild<ParetoChart*>(); }
    QPushButton* button(const char* name) const { return widget->findChild<QPushButton*>(QLatin1String(name)); }
    QString summary() const { return widget->findChild<QLabel*>(QStringLiteral("paretoSummary"))->text(); }
    bool openAndSolve() { return open() && QTest::qWaitForWindowExposed(widget.get()) && solved(); }
    bool solved()
    {
        return QTest::qWaitFor([this] { return summary().contains(QLatin1String("plans that none beats")); }, 30000) &&
               settle();
    }
    FrontPlans front(const Plan& start, std::size_t budgets)
    {
        const auto table = document.tableSnapshot();
        BalanceRequest request;
        request.table = table.get();
        request.start = start;
        request.target = document.target() ? &document.target()->profile : nullptr;
        return frontPlans(*document.model(), request, budgets, JobContext(executor)).value();
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
        const FrontPlans front = pareto.front(d.plan(), 30);
        QVERIFY(front.plans.size() > 5);
        for (std::size_t i = 0; i < front.plans.size(); ++i) {
            const FrontPlan& plan = front.plans[i];
            QCOMPARE(plan.loss, predictLoss(d.table(), *plan.plan));
            QCOMPARE(plan.fileBytes, *d.target()->profile.fileBytes(*d.model(), *plan.plan));
            if (i == 0)
                continue;
            QVERIFY(plan.fileBytes > front.plans[i - 1].fileBytes);
            QVERIFY(plan.loss < front.plans[i - 1].loss);
            QVERIFY(plan.gap < 1e-3);
            // What the step before says it takes and buys is what one layer, or those tied to it, take and buy.
            if (const auto& step = front.plans[i - 1].next) {
                QVERIFY(step->addedSize > 0);
                QVERIFY(front.plans[i - 1].plan->candidates[static_cast<std::size_t>(step->layer)] == step->from);
                Plan next = *front.plans[i - 1].plan;
                for (const std::int64_t layer : d.table().items[*d.itemOf(step->layer)].layers)
                    next.candidates[static_cast<std::size_t>(layer)] = step->to;
                const double saved = front.plans[i - 1].loss - predictLoss(d.table(), next);
                QVERIFY(std::fabs(saved - step->savedLoss) <= 1e-9 * front.plans[0].loss);
            }
        }
        QVERIFY(front.largestGap < 1e-3);
        // The hull lies nowhere above the plans, and meets them at its ends.
        QVERIFY(front.inBytes && front.hull.size() > 5);
        QVERIFY(std::fabs(front.hull.front().loss - front.plans.front().loss) <= 1e-9 * front.plans.front().loss);
        for (std::size_t i = 1; i + 1 < front.hull.size(); ++i) {
            const auto slope = [&](std::size_t v) {
                return (front.hull[v].loss - front.hull[v + 1].loss) / (front.hull[v + 1].size - front.hull[v].size);
            };
            QVERIFY(slope(i) <= slope(i - 1) * (1 + 1e-6));
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
        request.fileBytes = middle.fileBytes;
        const double same = balance(*d.model(), request, JobContext(pareto.executor))->predictedLoss;
        QVERIFY2(std::fabs(same - middle.loss) <= 0.01 * middle.loss, // the texts of plans differ by some bytes
                 qPrintable(QStringLiteral("%1 against %2").arg(same).arg(middle.loss)));
        // What is locked stays in all of them; where all is locked nothing is left to decide.
        Plan locked = d.plan();
        const auto layer = static_cast<std::size_t>(d.planLayers().back());
        locked.locked[layer] = true;
        for (const FrontPlan& plan : pareto.front(locked, 8).plans)
            QVERIFY(plan.plan->candidates[layer] == locked.candidates[layer]);
        locked.locked.assign(locked.locked.size(), true);
        QVERIFY(pareto.front(locked, 8).plans.empty());
    }

    void titlesAreWholeWhereThePanelIsLow()
    {
        Pareto pareto;
        QVERIFY(pareto.openAndSolve());
        const Metric& metric = *pareto.document.metric();
        const QString title = QStringLiteral("%1 / %2").arg(toQString(metric.title), toQString(metric.unit));
        ParetoChart* chart = pareto.chart();
        const auto isCut = [](const auto* text) { return text->toPlainText().contains(QLatin1String("...")); };
        for (const ThemeChoice theme : {ThemeChoice::dark, ThemeChoice::light})
            for (const int height : {180, 320}) {
                applyTheme(theme);
                pareto.widget->resize(900, height);
                QTRY_VERIFY(test::hasCaption(*chart, title));
                QTRY_VERIFY(std::ranges::none_of(test::visibleTexts(*chart), isCut));
                QTRY_VERIFY(chart->chart()->plotArea().height() > 60);
                QCOMPARE(chart->chart()->titleBrush().color(), colors(chart->palette()).text);
            }
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
        const FrontPlans front = pareto.front(before, 200);
        // One that has room around it.
        int mark = 1;
        double most = 0;
        for (int i = 1; i + 1 < static_cast<int>(front.plans.size()); ++i) {
            const auto apart = [&](int a, int b) {
                const QPointF way = chart->positionOf(a) - chart->positionOf(b);
                return std::hypot(way.x(), way.y());
            };
            if (const double room = std::min(apart(i, i - 1), apart(i, i + 1)); room > most) {
                most = room;
                mark = i;
            }
        }
        QVERIFY(most > 2);
        const QPoint pixel = chart->positionOf(mark).toPoint();
        QTest::mouseClick(chart->viewport(), Qt::LeftButton, {}, pixel);
        QCOMPARE(chart->chosen(), mark);
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
        QCOMPARE(adopted.candidates, front.plans[static_cast<std::size_t>(mark)].plan->candidates);
        d.undoStack().undo();
        QCOMPARE(d.plan(), before);
        QVERIFY(changes->rowCount() > 0); // it is still chosen
    }

    void byKeys()
    {
        Pareto pareto;
        QVERIFY(pareto.openAndSolve());
        Document& d = pareto.document;
        QVERIFY(pareto.activate());
        auto* chart = pareto.chart();
        chart->setFocus();
        const QString whole = chart->accessibleDescription();
        QCOMPARE(whole, pareto.summary());
        QTest::keyClick(chart, Qt::Key_Home);
        QCOMPARE(chart->chosen(), 0);
        // What is chosen is told to who does not see it, with the unit of its loss.
        const FrontPlan first = pareto.front(d.plan(), 200).plans.front();
        const QString loss =
            QStringLiteral("predicted %1 %2").arg(numberText(first.loss, 4), toQString(d.metric()->unit));
        QVERIFY2(chart->accessibleDescription().contains(loss), qPrintable(chart->accessibleDescription()));
        QVERIFY2(pareto.summary().contains(loss), qPrintable(pareto.summary()));
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
        QCOMPARE(chart->accessibleDescription(), whole);
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

    void limitsHoldForTheFrontAndItCanBeStopped()
    {
        Pareto pareto;
        QVERIFY(pareto.openAndSolve());
        QVERIFY(pareto.summary().contains(QLatin1String("proven")));
        Document& d = pareto.document;
        const std::int64_t layer = d.model()->indexOf("model.layers.0.mlp.down_proj.weight");
        const std::string lowest = d.columnText(d.ladder(layer).front()).toStdString();
        std::vector<Limit> limits = d.limits();
        limits.push_back({LimitKind::allow, "down_proj=" + lowest});
        d.setLimits(limits, QStringLiteral("allow"));
        QVERIFY(!pareto.summary().contains(QLatin1String("plans that none beats")));
        QVERIFY(pareto.solved());
        QTest::keyClick(pareto.chart(), Qt::Key_End);
        QTest::keyClick(pareto.chart(), Qt::Key_Return);
        QCOMPARE(d.columnOf(layer), std::optional(d.ladder(layer).front()));
        QTest::keyClick(pareto.chart(), Qt::Key_Escape);
        QVERIFY(!pareto.button("paretoSolve")->isVisible());

        // What is being solved is stopped, and solved when it is asked for.
        limits.pop_back();
        d.setLimits(limits, QStringLiteral("all"));
        auto* solve = pareto.button("paretoSolve");
        if (QTest::qWaitFor([&] { return solve->isVisible(); }, 1000)) { // else it was through at once
            QTest::mouseClick(solve, Qt::LeftButton);
            QTRY_VERIFY(!pareto.jobs.isRunning(QStringLiteral("front")));
            QVERIFY(!pareto.summary().contains(QLatin1String("plans that none beats")));
            QTest::mouseClick(solve, Qt::LeftButton);
        }
        QVERIFY(pareto.solved());
    }

    void theFrontStaysWhileLossesArrive()
    {
        Pareto pareto;
        QVERIFY(pareto.openAndSolve() && pareto.calibrate());
        Document& d = pareto.document;
        QVERIFY(d.setCandidates(QStringLiteral("int4:g64,int3:g64")) && pareto.settle());
        QVERIFY(d.countsProbes() && pareto.solved());
        const auto isEarlier = [&] { return pareto.summary().contains(QLatin1String("earlier losses")); };
        const auto isEmpty = [&] { return !pareto.summary().contains(QLatin1String("plans that none beats")); };
        const auto legend = [&] {
            QStringList names;
            for (const QAbstractSeries* series : pareto.chart()->chart()->series())
                names << series->name();
            return names;
        };
        QVERIFY(!isEarlier() && legend().contains(QStringLiteral("front")));
        const std::int64_t layer = d.planLayers().back();
        const std::size_t column = d.ladder(layer).front();
        const auto loses = [&](double loss) {
            LayerLosses losses{.metric = "exact_probe", .activations = d.lossInputs(), .candidates = {}, .cells = {}};
            losses.cells.push_back({.layer = layer,
                                    .candidate = d.table().candidateOf(*d.itemOf(layer), column),
                                    .loss = loss,
                                    .standardError = loss / 10, // tells more than a greater one
                                    .evidence = Evidence::measured});
            d.addLosses(losses);
        };
        const auto lossOfTheSmallest = [&] {
            QTest::keyClick(pareto.chart(), Qt::Key_Home);
            const QString text = pareto.summary();
            QTest::keyClick(pareto.chart(), Qt::Key_Escape);
            return text.section(QStringLiteral("predicted "), 1);
        };
        const QString before = lossOfTheSmallest();
        loses(0.9);
        QVERIFY(isEarlier() && !isEmpty());
        QVERIFY(legend().contains(QStringLiteral("front of earlier losses")));
        QVERIFY(lossOfTheSmallest().contains(QLatin1String("earlier losses")));
        QTRY_VERIFY_WITH_TIMEOUT(!isEarlier(), 30000);
        QVERIFY(pareto.settle());
        QVERIFY(legend().contains(QStringLiteral("front")));
        const QString after = lossOfTheSmallest();
        QVERIFY2(after != before, qPrintable(after));

        // Losses that arrive while a front is solved do not stop that: it is shown, and then another one solved.
        loses(0.8);
        int arrived = 0;
        while (isEarlier() && arrived < 20) {
            if (pareto.jobs.isRunning(QStringLiteral("front")))
                loses(0.7 - 0.01 * arrived++);
            QTest::qWait(20);
            QVERIFY(!isEmpty());
        }
        QTRY_VERIFY_WITH_TIMEOUT(!isEarlier(), 30000);
        QVERIFY(pareto.settle());

        // While they are measured by a run the front is never gone, and after it the front is of all of them.
        bool wasEmpty = false;
        connect(&pareto.runs.losses, &LossRun::changed, this, [&] { wasEmpty = wasEmpty || isEmpty(); });
        pareto.runs.losses.start(
            {.source = pareto.text(QStringLiteral("test.txt")), .portion = {32, 3}, .limitSeconds = 2});
        QTRY_VERIFY_WITH_TIMEOUT(pareto.runs.losses.state() != LossRun::State::running, 60000);
        pareto.runs.losses.disconnect(this);
        QVERIFY(!wasEmpty);
        QTRY_VERIFY_WITH_TIMEOUT(!isEarlier() && !isEmpty(), 30000);
        QVERIFY(pareto.settle() && pareto.jobs.failures().empty());
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
