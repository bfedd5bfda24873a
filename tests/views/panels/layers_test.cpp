// SPDX-License-Identifier: GPL-3.0-or-later
// The layer table: filter expressions, tree and proxy under QAbstractItemModelTester, batching, editing.
#include "tests/support/opened_panel.h"
#include "tests/support/tiny_model.h"
#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/panels/layers/layer_filter_model.h"
#include "views/panels/layers/layer_tree_model.h"
#include "views/text/format.h"

#include <QAbstractItemModelTester>
#include <QApplication>
#include <QHeaderView>
#include <QMenu>
#include <QSettings>
#include <QSignalSpy>
#include <QStandardPaths>
#include <QTemporaryDir>
#include <QTest>
#include <QTimer>
#include <QTreeView>

#include <algorithm>

using namespace ql;
using namespace ql::views;

class LayersTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        QStandardPaths::setTestModeEnabled(true);
        QCoreApplication::setOrganizationName(QStringLiteral("QuantLoupe"));
        QCoreApplication::setApplicationName(QStringLiteral("layers-test"));
        QVERIFY(test::writeTinyModel(m_folder.path()));
    }

    void filters_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<bool>("matches");
        QTest::addColumn<bool>("wellFormed");
        const auto row = [](const char* text, bool matches, bool wellFormed = true) {
            QTest::newRow(text) << QString::fromUtf8(text) << matches << wellFormed;
        };
        row("", true);
        row("q_proj", true);
        row("Q_PROJ", true);
        row("k_proj", false);
        row("bits<4.5", true);
        row("bits<4", false);
        row("bits<=4.25", true);
        row("bits>=4.25 outliers>0.1", true);
        row("bits<5 outliers>0.3", false);
        row("role=q_proj", true);
        row("role!=q_proj", false);
        row("role=*_proj", true);
        row("name=*.q_proj.*", true);
        row("size>=1MB", true);
        row("size<1MB", false);
        row("params>2M", true);
        row("params=3000000", true);
        row("block=7 q_proj", true);
        row("block=8", false);
        row("kurtosis>0", false); // unknown: does not hold
        row("kurtosis<=0", false);
        row("sqnr>30", true);
        row("candidate=int4*", true);
        row("dtype=bf16 op=linear", true);
        row("bits<", true); // still being typed
        row("nonsense=3", true, false);
        row("bits<many", true, false);
        row("role<3", true, false);
        row("nonsense=3 k_proj", false, false);
    }
    void filters()
    {
        QFETCH(QString, text);
        LayerValues values;
        values.name = QStringLiteral("model.layers.7.self_attn.q_proj.weight");
        values.role = QStringLiteral("q_proj");
        values.op = QStringLiteral("linear");
        values.dtype = QStringLiteral("bf16");
        values.candidate = QStringLiteral("int4:g64");
        values.block = 7;
        values.bits = 4.25;
        values.size = 1.6e6;
        values.params = 3e6;
        values.outliers = 0.2;
        values.sqnr = 31;
        const LayerFilter filter(text);
        QTEST(filter.matches(values), "matches");
        QTEST(filter.problem().isEmpty(), "wellFormed");
    }

    void modelAndProxyKeepTheRules()
    {
        Executor executor(2);
        JobRunner jobs(executor);
        Document document(jobs);
        LayerTreeModel model(document);
        LayerFilterModel proxy(model);
        const QAbstractItemModelTester modelTester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        const QAbstractItemModelTester proxyTester(&proxy, QAbstractItemModelTester::FailureReportingMode::QtTest);
        QCOMPARE(model.rowCount(), 0);

        QSignalSpy measured(&document, &Document::measured);
        document.open(m_folder.path());
        QVERIFY(measured.wait(60000));
        QCOMPARE(model.rowCount(), 4); // embedding, two blocks, final norm
        QCOMPARE(model.rowCount(model.index(1, 0)), 8);
        for (std::int64_t layer = 0; layer < std::ssize(document.model()->layers); ++layer)
            QCOMPARE(model.layerOf(model.indexOf(layer)), layer);

        // Every cell of every layer says something, and sorts by something, once it is measured.
        for (const std::int64_t layer : document.planLayers()) {
            for (int column = 0; column < LayerTreeModel::kColumnCount; ++column) {
                const QModelIndex cell = model.indexOf(layer, column);
                QVERIFY2(!cell.data().toString().isEmpty(), qPrintable(QString::number(column)));
                QVERIFY2(cell.data(LayerTreeModel::kSortRole).isValid(), qPrintable(QString::number(column)));
            }
        }
        proxy.setFilter(LayerFilter(QStringLiteral("role=q_proj")));
        QCOMPARE(proxy.rowCount(), 2);
        QCOMPARE(proxy.rowCount(proxy.index(0, 0)), 1);
        proxy.setFilter(LayerFilter(QStringLiteral("bits<1")));
        QCOMPARE(proxy.rowCount(), 0);
        proxy.setFilter({});
        for (int column = 0; column < LayerTreeModel::kColumnCount; ++column) {
            proxy.sort(column, Qt::AscendingOrder);
            proxy.sort(column, Qt::DescendingOrder);
            QCOMPARE(proxy.rowCount(), 4);
        }
        document.close();
        QCOMPARE(model.rowCount(), 0);
        QCOMPARE(proxy.rowCount(), 0);
    }

    void shapesAreOutInWhateverIsStored()
    {
        Executor executor(2);
        JobRunner jobs(executor);
        Document document(jobs);
        LayerTreeModel model(document);
        QSignalSpy measured(&document, &Document::measured);
        document.open(QStringLiteral(QL_TEST_DATA "/checkpoints/oriented_gpt2"));
        QVERIFY(measured.wait(60000));
        const auto shapeOf = [&](const char* name) {
            return model.indexOf(document.model()->indexOf(name), LayerTreeModel::kShape);
        };
        QCOMPARE(shapeOf("transformer.h.0.attn.c_attn.weight").data().toString(), QStringLiteral("[24, 8]"));
        QVERIFY(shapeOf("transformer.h.0.attn.c_attn.weight")
                    .data(Qt::ToolTipRole)
                    .toString()
                    .contains(QLatin1String("[8, 24]")));
        QVERIFY(!shapeOf("transformer.h.0.attn.c_proj.weight").data(Qt::ToolTipRole).toString().isEmpty()); // square
        QVERIFY(shapeOf("transformer.wte.weight").data(Qt::ToolTipRole).toString().isEmpty());
    }
    void aBatchOfChangesIsOneRangePerBlock()
    {
        Executor executor(2);
        JobRunner jobs(executor);
        Document document(jobs);
        LayerTreeModel model(document);
        QSignalSpy measured(&document, &Document::measured);
        document.open(m_folder.path());
        QVERIFY(measured.wait(60000));
        model.flush();
        QSignalSpy changed(&model, &LayerTreeModel::dataChanged);
        std::vector<LayerColumn> all;
        for (const std::int64_t layer : document.planLayers())
            all.push_back({layer, document.ladder(layer).front()});
        document.assign(all, QStringLiteral("all"));
        model.flush();
        QCOMPARE(changed.size(), 3); // two blocks and the top level
    }

    void editingACellAssignsToTheSelection()
    {
        Executor executor(2);
        JobRunner jobs(executor);
        Document document(jobs);
        LayerTreeModel model(document);
        QSignalSpy measured(&document, &Document::measured);
        document.open(m_folder.path());
        QVERIFY(measured.wait(60000));
        const std::int64_t down = document.model()->indexOf("model.layers.0.mlp.down_proj.weight");
        const std::int64_t other = document.model()->indexOf("model.layers.1.mlp.down_proj.weight");
        document.selection().setSelected({down, other});
        const std::size_t lowest = document.ladder(down).front();
        const QModelIndex cell = model.indexOf(down, LayerTreeModel::kCandidate);
        QVERIFY(cell.flags().testFlag(Qt::ItemIsEditable));
        QVERIFY(model.setData(cell, document.columnText(lowest), Qt::EditRole));
        QCOMPARE(document.columnOf(down), std::optional(lowest));
        QCOMPARE(document.columnOf(other), std::optional(lowest));
        QCOMPARE(document.undoStack().count(), 1);
        QVERIFY(!model.setData(cell, QStringLiteral("int99"), Qt::EditRole));
        document.setLocked(std::vector<std::int64_t>{down}, true);
        QVERIFY(!model.indexOf(down, LayerTreeModel::kCandidate).flags().testFlag(Qt::ItemIsEditable));
    }

    void everyMetricHasAColumnThatIsRemembered()
    {
        Executor executor(2);
        JobRunner jobs(executor);
        Document document(jobs);
        Runs runs(document, jobs);
        const auto make = [&] { return test::showPanel("layers", {document, jobs, runs}, {900, 500}); };
        QSettings().remove(QStringLiteral("layers"));
        auto widget = make();
        QVERIFY(QTest::qWaitForWindowExposed(widget.get()));
        QSignalSpy measured(&document, &Document::measured);
        document.open(m_folder.path());
        QVERIFY(measured.wait(60000));
        auto* view = widget->findChild<QTreeView*>();
        const auto columnOf = [](const char* id) {
            const auto metrics = allMetrics();
            return LayerTreeModel::kColumnCount +
                   static_cast<int>(std::ranges::find(metrics, *findMetric(id)) - metrics.begin());
        };
        QCOMPARE(view->model()->columnCount(), LayerTreeModel::kColumnCount + static_cast<int>(allMetrics().size()));
        const std::vector<const char*> chosen{"relative_weight_error", "weight_error"};
        for (const char* id : chosen)
            QVERIFY(view->isColumnHidden(columnOf(id)));
        // Ticked in the header's menu.
        QTimer::singleShot(0, widget.get(), [&] {
            auto* menu = qobject_cast<QMenu*>(QApplication::activePopupWidget());
            QVERIFY(menu);
            auto* losses = menu->findChild<QMenu*>();
            QVERIFY(losses);
            for (QAction* action : losses->actions())
                for (const char* id : chosen)
                    if (action->text() == QString::fromLatin1(id).replace(QLatin1Char('_'), QLatin1Char(' ')))
                        action->trigger();
            menu->close();
        });
        Q_EMIT view->header()->customContextMenuRequested(QPoint(5, 5));
        // What the columns say is what the measurements do, of a plan that loses something.
        std::vector<LayerColumn> lowest;
        for (const std::int64_t layer : document.planLayers())
            lowest.push_back({layer, document.ladder(layer).front()});
        document.assign(lowest, QStringLiteral("lowest"));
        auto* model = widget->findChild<LayerTreeModel*>();
        for (const char* id : chosen) {
            QVERIFY(!view->isColumnHidden(columnOf(id)));
            int lossy = 0;
            for (const std::int64_t layer : document.planLayers()) {
                const QModelIndex cell = model->indexOf(layer, columnOf(id));
                QCOMPARE(cell.data(LayerTreeModel::kSortRole).toDouble(),
                         Document::lossOf(*document.plannedCell(layer), **findMetric(id)));
                lossy += cell.data(LayerTreeModel::kSortRole).toDouble() > 0 ? 1 : 0;
            }
            QVERIFY2(lossy >= 14, id); // all but, it may be, the embedding
        }
        // What a metric lacks here its title says.
        const auto lacking = checkUsable(**findMetric("salience"), nullptr);
        QVERIFY(!lacking);
        QVERIFY(model->headerData(columnOf("salience"), Qt::Horizontal, Qt::ToolTipRole)
                    .toString()
                    .contains(errorText(lacking.error())));
        widget = make();
        view = widget->findChild<QTreeView*>();
        for (const char* id : chosen)
            QVERIFY(!view->isColumnHidden(columnOf(id)));
        QVERIFY(view->isColumnHidden(columnOf("size")));
        QSettings().remove(QStringLiteral("layers"));
        QTRY_VERIFY_WITH_TIMEOUT(jobs.isIdle(), 60000);
    }

private:
    QTemporaryDir m_folder;
};

QTEST_MAIN(LayersTest)
#include "layers_test.moc"
