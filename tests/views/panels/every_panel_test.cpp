// SPDX-License-Identifier: GPL-3.0-or-later
// Every panel of the list opens empty and full, survives closing the work and a size of 1×1, and can be read by
// assistive technology.
#include "tests/support/tiny_model.h"
#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/panels/panel.h"
#include "views/panels/row_table.h"
#include "views/runs/runs.h"
#include "views/theme/theme.h"

#include <QAbstractScrollArea>
#include <QAccessible>
#include <QComboBox>
#include <QFontInfo>
#include <QImage>
#include <QSignalSpy>
#include <QStandardItemModel>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>

using namespace ql;
using namespace ql::views;

class EveryPanelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        QVERIFY(!QFontInfo(QGuiApplication::font()).family().isEmpty());
        QVERIFY(test::writeTinyModel(m_folder.path()));
        applyTheme(ThemeChoice::light);
    }

    void everyPanel_data()
    {
        QTest::addColumn<int>("index");
        for (std::size_t i = 0; i < allPanels().size(); ++i)
            QTest::newRow(allPanels()[i]->id) << static_cast<int>(i);
    }
    void everyPanel()
    {
        QFETCH(int, index);
        const Panel& panel = *allPanels()[static_cast<std::size_t>(index)];
        QVERIFY(!panelTitle(panel).isEmpty());
        Executor executor(2);
        JobRunner jobs(executor);
        Document document(jobs);
        Runs runs(document, jobs);
        const std::unique_ptr<QWidget> widget(panel.create({document, jobs, runs}, nullptr));
        widget->resize(500, 400);
        widget->show();
        QVERIFY(QTest::qWaitForWindowExposed(widget.get()));
        const QImage empty = widget->grab().toImage();

        QSignalSpy measured(&document, &Document::measured);
        document.open(m_folder.path());
        QVERIFY(measured.wait(60000));
        document.selection().setCurrent(document.model()->indexOf("model.layers.1.mlp.up_proj.weight"));
        QTRY_VERIFY_WITH_TIMEOUT(jobs.isIdle(), 60000);
        QVERIFY2(jobs.failures().empty(),
                 jobs.failures().empty() ? "" : describe(jobs.failures().front().error).c_str());
        QTest::qWait(100); // a panel may draw a settled candidate a little later
        QTRY_VERIFY_WITH_TIMEOUT(jobs.isIdle(), 60000);
        QVERIFY(widget->grab().toImage() != empty);

        // A change of the plan, a layer that is not quantized, another theme.
        const std::int64_t layer = document.selection().current();
        const LayerColumn change{layer, document.ladder(layer).front()};
        document.assign(std::span(&change, 1), QStringLiteral("lowest"));
        QTest::qWait(300);
        QTRY_VERIFY_WITH_TIMEOUT(jobs.isIdle(), 60000);
        const QImage light = widget->grab().toImage();
        applyTheme(ThemeChoice::dark);
        QTest::qWait(20);
        const QImage dark = widget->grab().toImage();
        applyTheme(ThemeChoice::light);
        QVERIFY2(qGray(dark.pixel(1, 1)) + 100 < qGray(light.pixel(1, 1)), "the panel does not follow the theme");
        document.selection().setCurrent(document.model()->indexOf("model.norm.weight"));
        QTRY_VERIFY_WITH_TIMEOUT(jobs.isIdle(), 60000);
        QVERIFY(!widget->grab().isNull());

        for (QWidget* child : widget->findChildren<QWidget*>()) {
            if (child->focusPolicy() == Qt::NoFocus || !child->isVisibleTo(widget.get()) ||
                child->objectName().startsWith(QLatin1String("qt_")))
                continue;
            QAccessibleInterface* interface = QAccessible::queryAccessibleInterface(child);
            // Viewports and headers speak through their view.
            const bool internal = qobject_cast<QAbstractScrollArea*>(child->parentWidget()) != nullptr ||
                                  qobject_cast<QComboBox*>(child->parentWidget()) != nullptr;
            QVERIFY2(internal || (interface && !interface->text(QAccessible::Name).isEmpty()),
                     qPrintable(QStringLiteral("%1 %2 has no accessible name")
                                    .arg(QLatin1String(child->metaObject()->className()), child->objectName())));
        }
        widget->resize(1, 1);
        QVERIFY(!widget->grab().isNull());
        widget->resize(500, 400);
        document.close();
        QTRY_VERIFY_WITH_TIMEOUT(jobs.isIdle(), 60000);
        QVERIFY(!widget->grab().isNull());
    }

    void tablesAreTextForOtherPrograms()
    {
        const ViewTable table{
            {QStringLiteral("a"), QStringLiteral("b")},
            {{QStringLiteral("x,y"), QStringLiteral("say \"hi\"")}, {plainNumber(0.1), plainNumber(1e-7)}}};
        QCOMPARE(toCsv(table), QStringLiteral("a,b\n\"x,y\",\"say \"\"hi\"\"\"\n0.1,1e-07\n"));
        QCOMPARE(toTsv(table), QStringLiteral("a\tb\nx,y\tsay \"hi\"\n0.1\t1e-07\n"));
    }

    /// Figures of a table are copied with a decimal point, whole, whatever is shown.
    void tablesAreCopiedAsFigures()
    {
        QStandardItemModel model(2, 5);
        model.setHorizontalHeaderLabels({QStringLiteral("name"), QStringLiteral("size"), QStringLiteral("hidden"),
                                         QStringLiteral("loss"), QStringLiteral("place")});
        const auto set = [&](int row, int column, const QString& shown, const QVariant& value) {
            model.setData(model.index(row, column), shown);
            model.setData(model.index(row, column), value, Qt::UserRole);
        };
        for (int row = 0; row < 2; ++row) {
            set(row, 0, QStringLiteral("plan"), QStringLiteral("plan"));
            set(row, 1, QStringLiteral("1,2 MB"), QVariant(qlonglong{1234567}));
            set(row, 2, QStringLiteral("x"), 1.0);
            set(row, 4, QStringLiteral("first"), QVariant(1));
        }
        set(0, 3, QStringLiteral("0,12"), 0.125);
        set(1, 3, QStringLiteral("not measured"), qQNaN());
        QTableView view;
        view.setModel(&model);
        view.hideColumn(2);
        QCOMPARE(toTsv(tableOf(view)), QStringLiteral("name\tsize\tloss\tplace\nplan\t1234567\t0.125\tfirst\n"
                                                      "plan\t1234567\t\tfirst\n"));
    }

private:
    QTemporaryDir m_folder;
};

QTEST_MAIN(EveryPanelTest)
#include "every_panel_test.moc"
