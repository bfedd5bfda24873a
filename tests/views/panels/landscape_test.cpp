// SPDX-License-Identifier: GPL-3.0-or-later
// The loss about a layer's weights in the window: what the panel shows is what core measures, it follows the layer, can
// be stopped and is told cell by cell, by mouse and by keys.
#include "core/model/evaluation/hessian.h"
#include "core/sensitivity/loss_slice.h"
#include "tests/support/opened_panel.h"
#include "tests/support/textless_models.h"
#include "views/panels/landscape/landscape_cuts.h"
#include "views/panels/landscape/landscape_form.h"
#include "views/panels/landscape/landscape_map.h"
#include "views/panels/landscape/landscape_run.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QApplication>
#include <QClipboard>
#include <QDoubleSpinBox>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSpinBox>

#include <cmath>

using namespace ql;
using namespace ql::views;

namespace {

const char* const kLayer = "model.layers.1.self_attn.k_proj.weight";
constexpr std::int64_t kTokens = 16;
constexpr std::int64_t kIterations = 4;

struct LandscapeView : test::OpenedPanel {
    LandscapeView() : OpenedPanel("landscape", {900, 420}) {}
    bool openOn(const char* layer, const QString& path = test::samplePath())
    {
        if (!open(path) || !QTest::qWaitForWindowExposed(widget.get()))
            return false;
        select(layer);
        return settle();
    }
    void select(const char* layer) { document.selection().setCurrent(document.model()->indexOf(layer)); }
    template<typename Widget>
    Widget* find(const char* name) const
    {
        return widget->findChild<Widget*>(QLatin1String(name));
    }
    LandscapeMap* map() const { return widget->findChild<LandscapeMap*>(); }
    LandscapeRun* run() const { return widget->findChild<LandscapeRun*>(); }
    QPushButton* start() const { return find<QPushButton>("landscapeStart"); }
    QString said(const char* label) const { return find<QLabel>(label)->text(); }
    QString command() const { return find<QLineEdit>("landscapeCommand")->text(); }
    bool isIdle() const { return start()->text() == QLatin1String("Measure"); }
    void choose(int points, std::int64_t iterations = kIterations) const
    {
        find<QSpinBox>("landscapeTokens")->setValue(static_cast<int>(kTokens));
        find<QSpinBox>("landscapePoints")->setValue(points);
        find<QSpinBox>("landscapeIterations")->setValue(static_cast<int>(iterations));
    }
    bool measure()
    {
        start()->click();
        return !isIdle() && QTest::qWaitFor([this] { return isIdle(); }, 60000);
    }
    const Landscape* shown() { return run()->landscape(document.selection().current()); }
    /// What core says of the same.
    LossSlice expected(std::int64_t points, double span)
    {
        const auto source = text(QStringLiteral("test.txt"));
        const JobContext context(executor);
        const Windows windows = source->text()->windows(kTokens, 1).value();
        const graph::CheckpointWeights weights(source->model());
        const LossFunction loss{source->graph(), weights, windows, {document.selection().current()}};
        LossSliceSettings settings;
        settings.radius = span * weightNorm(loss, context).value();
        settings.points = points;
        settings.iterations = kIterations;
        return sliceLoss([&](std::span<const double> shift) { return lossAt(loss, shift, context); },
                         [&](std::span<const double> v) { return hessianVectorProduct<double>(loss, v, context); },
                         weightCount(loss, context).value(), settings, context)
            .value();
    }
};

} // namespace

class LandscapeTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { applyTheme(ThemeChoice::light); }

    void emptyStatesSayWhatToDo()
    {
        LandscapeView view;
        QVERIFY(view.map()->message().contains(QLatin1String("Open a checkpoint")));
        QVERIFY(!view.start()->isEnabled());
        QVERIFY(view.openOn("model.norm.weight"));
        QVERIFY(view.map()->message().contains(QLatin1String("not quantized")));
        QVERIFY(!view.start()->isEnabled());
        view.document.selection().clear();
        QVERIFY(view.map()->message().contains(QLatin1String("Select a layer")));
        view.select(kLayer);
        QVERIFY(view.settle());
        QVERIFY(view.map()->message().startsWith(QLatin1String("Measure")));
        QVERIFY(view.start()->isEnabled());
        QVERIFY(!view.find<QWidget>("landscapeCuts")->isVisible());
        // What it takes follows what is chosen; a text that is too short is said.
        const QString cost = view.said("landscapeCost");
        QVERIFY2(cost.contains(QLatin1String("At most")), qPrintable(cost));
        view.choose(5);
        QVERIFY(view.said("landscapeCost") != cost);
        view.find<QSpinBox>("landscapeTokens")->setValue(1'000'000);
        QVERIFY(view.map()->message().contains(QLatin1String("less than one window")));
        QVERIFY(!view.start()->isEnabled());
        view.document.close();
        QVERIFY(view.map()->message().contains(QLatin1String("Open a checkpoint")));
        QVERIFY(view.jobs.failures().empty());
    }

    void aModelWithoutTextSaysSo()
    {
        LandscapeView view;
        QVERIFY(view.open(test::vitPath()));
        QVERIFY(QTest::qWaitForWindowExposed(view.widget.get()));
        view.document.selection().setCurrent(view.document.planLayers().front());
        QVERIFY(view.settle());
        QVERIFY2(view.map()->message().contains(QLatin1String("language model")), qPrintable(view.map()->message()));
        QVERIFY(!view.start()->isEnabled());
    }

    void showsWhatCoreMeasures()
    {
        LandscapeView view;
        QVERIFY(view.openOn(kLayer));
        view.choose(4); // even: the next odd one
        QCOMPARE(view.find<QSpinBox>("landscapePoints")->value(), 5);
        view.find<QDoubleSpinBox>("landscapeSpan")->setValue(10);
        QVERIFY2(view.command().startsWith(QLatin1String("qloupe curvature ")), qPrintable(view.command()));
        QVERIFY2(view.command().endsWith(
                     QLatin1String("test.txt --context 16 --windows 1 --slice --span 0.1 --points 5 --iterations 4")),
                 qPrintable(view.command()));
        QVERIFY(view.command().contains(QLatin1String(kLayer)));
        QVERIFY(view.measure());
        const Landscape* shown = view.shown();
        QVERIFY(shown && shown->isWhole());
        const LossSlice slice = view.expected(5, 0.1);
        QCOMPARE(shown->losses, slice.loss);
        QCOMPARE(shown->steps, slice.steps);
        QCOMPARE(shown->ownLoss, slice.at(2, 2));
        QCOMPARE(shown->difference(2, 2), 0.0);
        for (std::size_t axis = 0; axis < 2; ++axis) {
            const LandscapeAxis& its = shown->axes[axis];
            QCOMPARE((std::vector{its.eigenvalue, its.residual}), // equal bits
                     (std::vector{slice.axes[axis].value, slice.axes[axis].residual}));
            QCOMPARE(its.iterations, slice.axes[axis].iterations);
            const QString words = view.said("landscapeWords");
            QVERIFY2(words.contains(numberText(slice.axes[axis].value)), qPrintable(words));
            QCOMPARE(shown->axisText(axis).contains(QLatin1String("not settled after")),
                     slice.axes[axis].residual > 0.1 * std::fabs(slice.axes[axis].value));
        }
        // To second order: the slope is that of the middle's neighbours, and the parabola has the eigenvalue's bend.
        const double slope = (slice.at(3, 2) - slice.at(1, 2)) / (2 * slice.steps[3]);
        QCOMPARE(shown->slope(0), slope);
        const double far = slice.steps[4];
        QCOMPARE(shown->parabola(far, 0) + shown->parabola(-far, 0), slice.axes[0].value * far * far);
        QVERIFY(view.find<QWidget>("landscapeCuts")->isVisible());
        QVERIFY(view.jobs.failures().empty());
    }

    void cellsAreToldByMouseAndByKeys()
    {
        LandscapeView view;
        QVERIFY(view.openOn(kLayer));
        view.choose(3);
        QVERIFY(view.measure());
        QVERIFY(view.activate());
        LandscapeMap* map = view.map();
        const Landscape& shown = *view.shown();
        QTest::mouseMove(map, map->cellRect(0, 2).center().toPoint());
        QTRY_COMPARE(view.said("landscapeCell"), shown.cellText(0, 2));
        QVERIFY2(shown.cellText(0, 2).contains(numberText(shown.lossAt(0, 2), 6)), qPrintable(shown.cellText(0, 2)));
        QCOMPARE(map->accessibleDescription(), shown.cellText(0, 2));

        map->setFocus();
        QTest::keyClick(map, Qt::Key_Home);
        QCOMPARE(map->cursor(), std::optional(QPoint(1, 1)));
        QCOMPARE(view.said("landscapeCell"), shown.cellText(1, 1));
        QTest::keyClick(map, Qt::Key_Right);
        QCOMPARE(view.said("landscapeCell"), shown.cellText(2, 1));
        QTest::keyClick(map, Qt::Key_Up);
        QTest::keyClick(map, Qt::Key_Up); // the edge
        QCOMPARE(view.said("landscapeCell"), shown.cellText(2, 2));
        const QImage before = map->grab().toImage();
        QTest::keyClick(map, Qt::Key_Down);
        QTest::keyClick(map, Qt::Key_Left);
        QCOMPARE(view.said("landscapeCell"), shown.cellText(1, 1));
        QVERIFY(map->grab().toImage() != before);
        QTest::keyClick(map, Qt::Key_Escape);
        QVERIFY(!map->cursor());
        QVERIFY(view.said("landscapeCell").contains(QLatin1String("arrow keys")));

        QTest::keyClick(map, Qt::Key_C, Qt::ControlModifier);
        const QStringList lines = QApplication::clipboard()->text().split(QLatin1Char('\n'));
        QCOMPARE(lines.size(), 11); // a header, nine losses, the end
        QCOMPARE(lines[1].split(QLatin1Char('\t'))[2].toDouble(), shown.lossAt(0, 0));
    }

    void staysWithTheLayer()
    {
        LandscapeView view;
        QVERIFY(view.openOn(kLayer));
        view.choose(3);
        QVERIFY(view.measure());
        const std::vector<double> losses = view.shown()->losses;
        view.select("model.layers.0.self_attn.k_proj.weight");
        QVERIFY(!view.shown());
        QVERIFY(view.map()->message().startsWith(QLatin1String("Measure")));
        QVERIFY(view.said("landscapeWords").isEmpty());
        view.select(kLayer);
        QVERIFY(view.shown());
        QCOMPARE(view.shown()->losses, losses);
        QVERIFY(!view.said("landscapeWords").isEmpty());

        // How far the plan goes.
        Document& d = view.document;
        const std::int64_t layer = d.selection().current();
        QVERIFY(!view.said("landscapeCell").contains(QLatin1String("plan moves")));
        const LayerColumn change{layer, d.ladder(layer).front()};
        d.assign(std::span(&change, 1), QStringLiteral("lowest"));
        const double moved = std::sqrt(d.plannedCell(layer)->error.sumSquaredError) / view.shown()->weightNorm;
        QTRY_VERIFY(view.said("landscapeCell").contains(QLatin1String("plan moves")));
        QVERIFY(view.said("landscapeCell").contains(percentText(moved)));
        QCOMPARE(view.said("landscapeCell").contains(QLatin1String("beyond the span")), moved > 0.05);
        d.close();
        QVERIFY(view.open());
        view.select(kLayer);
        QVERIFY(view.settle());
        QVERIFY(!view.shown()); // another model, though the same file
    }

    void canBeStoppedAndMeasuredAgain()
    {
        LandscapeView view;
        QVERIFY(view.openOn(kLayer));
        view.choose(41, 1);
        view.start()->click();
        QCOMPARE(view.start()->text(), QStringLiteral("Stop"));
        QTRY_VERIFY_WITH_TIMEOUT(view.shown() && !view.shown()->losses.empty(), 60000); // the grid grows
        QVERIFY(!view.shown()->isWhole());
        QVERIFY(view.said("landscapeStatus").startsWith(QLatin1String("Measuring")));
        QVERIFY(view.map()->isVisible() && view.find<QWidget>("landscapeCuts")->isVisible());
        view.start()->click();
        QTRY_VERIFY_WITH_TIMEOUT(view.isIdle(), 10000);
        QVERIFY(!view.shown());
        QVERIFY(view.settle());
        QVERIFY(view.said("landscapeStatus").isEmpty());
        QVERIFY(view.jobs.failures().empty());
        view.choose(3);
        QVERIFY(view.measure());
        QVERIFY(view.shown()->isWhole());
    }
};

QTEST_MAIN(LandscapeTest)
#include "landscape_test.moc"
