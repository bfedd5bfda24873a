// SPDX-License-Identifier: GPL-3.0-or-later
// "Why this layer?": what the panel says is what was measured, follows layer and plan, and says what is not known.
#include "core/sensitivity/layer_report.h"
#include "tests/support/opened_panel.h"
#include "views/panels/why/layer_sketch.h"
#include "views/panels/why/why_table.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QApplication>
#include <QClipboard>
#include <QDateTime>
#include <QLabel>

#include <cmath>

using namespace ql;
using namespace ql::views;

namespace {

struct Why : test::OpenedPanel {
    Why() : OpenedPanel("why", {700, 420}) {}
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
    WhyTable* table() const { return widget->findChild<WhyTable*>(); }
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

    void aSketchWithoutLossesSaysSo()
    {
        LayerSketch sketch;
        sketch.resize(360, 90);
        QVERIFY(!sketch.accessibleName().isEmpty());
        const QImage nothing = sketch.grab().toImage();
        sketch.setLosses({});
        const QImage none = sketch.grab().toImage();
        QVERIFY(none != nothing);
        sketch.setLosses({{.bits = 4, .loss = std::nan(""), .isPlanned = true}});
        QCOMPARE(sketch.grab().toImage(), none);
        sketch.setLosses({{.bits = 4, .loss = 0.5, .isPlanned = true}});
        QVERIFY(sketch.grab().toImage() != none);
        sketch.clear();
        QCOMPARE(sketch.grab().toImage(), nothing);
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
        QCOMPARE(why.copied(row, WhyTable::kValue).toDouble(), loss);
        QCOMPARE(why.copied(row, WhyTable::kEvidence), QStringLiteral("data-free"));
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
        QCOMPARE(why.copied(row, WhyTable::kInAll).toInt(), place);
        QVERIFY(why.table()->item(row, WhyTable::kInAll)->text().contains(QString::number(count)));
        // The neighbour in the block before, of the same role.
        const std::int64_t before = d.model()->indexOf("model.layers.0.mlp.up_proj.weight");
        QCOMPARE(why.copied(row, WhyTable::kBefore).toDouble(), d.lossOf(*d.cell(before, change.column)));
        // Steps up only: it is the lowest.
        QVERIFY(why.words().contains(QLatin1String("One step up")));
        QVERIFY(!why.words().contains(QLatin1String("One step down")));
        QVERIFY2(why.words().contains(toQString(d.metric()->unit)), qPrintable(why.words()));
        QVERIFY(why.words().contains(toQString(printCandidate(d.candidate(layer)))));
        // What needs activations is not measured, and not zero.
        const int unknown = why.rowOf("output_error");
        QCOMPARE(why.table()->item(unknown, WhyTable::kValue)->text(), QStringLiteral("not measured"));
        QCOMPARE(why.copied(unknown, WhyTable::kValue), QString());
        d.undoStack().undo();
        QVERIFY(why.settled());
        QVERIFY(why.words().contains(QLatin1String("losses are those of")));
        QVERIFY(why.jobs.failures().empty());
    }

    void whatProbesMeasuredStandsInTheTable()
    {
        Why why;
        QVERIFY(why.openOn(kLayer));
        Document& d = why.document;
        const std::int64_t layer = d.selection().current();
        const std::int64_t before = d.model()->indexOf("model.layers.0.mlp.up_proj.weight");
        const std::size_t lowest = d.ladder(layer).front();
        const auto rowOfLowest = [&] {
            return why.rowOf(qPrintable(QString(QStringLiteral("kld ") + d.columnText(lowest))));
        };
        const auto valueText = [](double loss) -> QString {
            return numberText(loss) + QStringLiteral(" ± ") + numberText(0.025);
        };
        QCOMPARE(rowOfLowest(), -1);
        const int metrics = why.table()->rowCount();
        const auto probed = [&](std::int64_t of, double loss, Evidence evidence) {
            LayerLosses losses{.metric = "exact_probe", .activations = d.lossInputs(), .candidates = {}, .cells = {}};
            losses.cells.push_back({.layer = of,
                                    .candidate = d.table().candidateOf(*d.itemOf(of), lowest),
                                    .loss = loss,
                                    .standardError = 0.025,
                                    .evidence = evidence,
                                    .tokens = 8192,
                                    .time = QDateTime::currentSecsSinceEpoch() - 5 * 60});
            d.addLosses(losses);
        };
        probed(layer, 0.25, Evidence::probed);
        QVERIFY(why.settled());
        QVERIFY(why.table()->rowCount() > metrics + 1); // its other candidates are said not to be measured
        int row = rowOfLowest();
        QVERIFY(row >= metrics);
        const auto text = [&](int column) { return why.table()->item(row, column)->text(); };
        QCOMPARE(text(WhyTable::kValue), valueText(0.25));
        QCOMPARE(why.copied(row, WhyTable::kValue).toDouble(), 0.25);
        QCOMPARE(text(WhyTable::kEvidence), QStringLiteral("probed"));
        QCOMPARE(text(WhyTable::kTokens), countText(8192));
        QCOMPARE(text(WhyTable::kAge), QStringLiteral("5 min ago"));
        QVERIFY(QDateTime::fromString(why.copied(row, WhyTable::kAge), Qt::ISODate).isValid());
        QCOMPARE(text(WhyTable::kInAll), QStringLiteral("1. of 1"));
        QCOMPARE(text(WhyTable::kBefore), QStringLiteral("not measured"));
        QCOMPARE(why.table()->item(row + 1, WhyTable::kValue)->text(), QStringLiteral("not measured"));

        // Another layer that loses more takes the first place, though nothing of this one changed.
        probed(before, 0.5, Evidence::measured);
        QVERIFY(why.settled());
        QCOMPARE(text(WhyTable::kInRole), QStringLiteral("2. of 2"));
        QCOMPARE(why.copied(row, WhyTable::kBefore).toDouble(), 0.5);

        // By keys: what is copied holds the standard error, too, and the last row stays the current one.
        QVERIFY(why.activate());
        why.table()->setFocus();
        QTest::keyClick(why.table(), Qt::Key_C, Qt::ControlModifier);
        const QStringList lines = QApplication::clipboard()->text().split(QLatin1Char('\n'));
        QCOMPARE(lines[row + 1].split(QLatin1Char('\t')).mid(1, 3),
                 (QStringList{QStringLiteral("0.25"), QStringLiteral("0.025"), QStringLiteral("nats per token")}));
        const QStringList figure = lines[why.rowOf("weight_error") + 1].split(QLatin1Char('\t'));
        QCOMPARE(figure.mid(2, 2), (QStringList{QString(), toQString((*findMetric("weight_error"))->unit)}));
        QCOMPARE(figure.size(), WhyTable::kColumns + 2);
        QTest::keyClick(why.table(), Qt::Key_End, Qt::ControlModifier);
        QCOMPARE(why.table()->currentRow(), why.table()->rowCount() - 1);
        probed(layer, 0.125, Evidence::measured); // it was run alone
        QVERIFY(why.settled());
        row = rowOfLowest();
        QCOMPARE(text(WhyTable::kValue), valueText(0.125));
        QCOMPARE(text(WhyTable::kEvidence), toQString(word(Evidence::measured)));
        QCOMPARE(why.table()->currentRow(), why.table()->rowCount() - 1); // where the reader was
        QVERIFY(why.jobs.failures().empty());
    }
};

QTEST_MAIN(WhyTest)
#include "why_test.moc"
