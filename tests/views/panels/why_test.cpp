// SPDX-License-Identifier: GPL-3.0-or-later
// "Why this layer?": what the panel says is what was measured, follows layer and plan, and says what is not known.
#include "core/sensitivity/layer_report.h"
#include "tests/support/opened_sample.h"
#include "views/panels/panel.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QLabel>
#include <QTableWidget>

#include <algorithm>
#include <cmath>

using namespace ql;
using namespace ql::views;

namespace {

struct Why : test::OpenedSample {
    std::unique_ptr<QWidget> widget;

    Why()
    {
        const Panel& panel = **std::ranges::find(allPanels(), std::string_view("why"),
                                                 [](const Panel* p) { return std::string_view(p->id); });
        widget.reset(panel.create({document, jobs, runs}, nullptr));
        widget->resize(700, 420);
        widget->show();
    }
    bool openOn(const char* layer)
    {
        if (!open() || !QTest::qWaitForWindowExposed(widget.get()))
            return false;
        document.selection().setCurrent(document.model()->indexOf(layer));
        return settled();
    }
    bool settled()
    {
        QTest::qWait(300); // it waits for the last change
        return settle();
    }
    QTableWidget* table() const { return widget->findChild<QTableWidget*>(); }
    QString words() const { return widget->findChild<QLabel*>(QStringLiteral("whyWords"))->text(); }
    QString title() const { return widget->findChild<QLabel*>(QStringLiteral("whyTitle"))->text(); }
    int rowOf(const char* metric) const
    {
        for (int row = 0; row < table()->rowCount(); ++row)
            if (table()->item(row, 0)->data(Qt::UserRole).toString() == QLatin1String(metric))
                return row;
        return -1;
    }
    QString copied(int row, int column) const { return table()->item(row, column)->data(Qt::UserRole).toString(); }
};

const char* const kLayer = "model.layers.1.mlp.up_proj.weight";

} // namespace

class WhyTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { applyTheme(ThemeChoice::light); }

    void emptyStatesAreSentences()
    {
        Why why;
        QVERIFY(why.title().contains(QLatin1String("Open a checkpoint")));
        QVERIFY(why.openOn("model.norm.weight"));
        QVERIFY(why.words().contains(QLatin1String("not quantized")));
        QCOMPARE(why.table()->rowCount(), 0);
        why.document.selection().clear();
        QVERIFY(why.title().contains(QLatin1String("Select a layer")));
        why.document.close();
        QVERIFY(why.title().contains(QLatin1String("Open a checkpoint")));
    }

    void saysWhatWasMeasured()
    {
        Why why;
        QVERIFY(why.openOn(kLayer));
        Document& d = why.document;
        const std::int64_t layer = d.selection().current();
        const LayerColumn change{layer, d.ladder(layer).front()};
        d.assign(std::span(&change, 1), QStringLiteral("lowest"));
        QVERIFY(why.settled());
        const int row = why.rowOf("weight_error");
        QVERIFY(row >= 0);
        const double loss = d.lossOf(*d.cell(layer, change.column)); // the default metric
        QCOMPARE(why.copied(row, 1).toDouble(), loss);
        QCOMPARE(why.copied(row, 2), QStringLiteral("data-free"));
        // Its place: one more than the layers that lose more.
        int place = 1;
        int count = 0;
        for (const std::int64_t other : d.planLayers()) {
            const Measurement* cell = d.cell(other, change.column);
            if (!cell || std::isnan(d.lossOf(*cell)))
                continue;
            ++count;
            place += d.lossOf(*cell) > loss ? 1 : 0;
        }
        QCOMPARE(why.copied(row, 4).toInt(), place);
        QVERIFY(why.table()->item(row, 4)->text().contains(QString::number(count)));
        // The neighbour in the block before, of the same role.
        const std::int64_t before = d.model()->indexOf("model.layers.0.mlp.up_proj.weight");
        QCOMPARE(why.copied(row, 5).toDouble(), d.lossOf(*d.cell(before, change.column)));
        // Steps up only: it is the lowest.
        QVERIFY(why.words().contains(QLatin1String("One step up")));
        QVERIFY(!why.words().contains(QLatin1String("One step down")));
        QVERIFY(why.words().contains(toQString(printCandidate(d.candidate(layer)))));
        // What needs activations is not measured, and not zero.
        const int unknown = why.rowOf("output_error");
        QCOMPARE(why.table()->item(unknown, 1)->text(), QStringLiteral("not measured"));
        QCOMPARE(why.copied(unknown, 1), QString());
        d.undoStack().undo();
        QVERIFY(why.settled());
        QVERIFY(why.words().contains(QLatin1String("losses are those of")));
        QVERIFY(why.jobs.failures().empty());
    }
};

QTEST_MAIN(WhyTest)
#include "why_test.moc"
