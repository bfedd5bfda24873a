// SPDX-License-Identifier: GPL-3.0-or-later
// The whole window: opens empty, opens work, toggles and resets its docks, themes, keys, closing.
#include "app/main_window.h"
#include "tests/support/tiny_model.h"
#include "views/dialogs/export_dialog.h"
#include "views/dialogs/shortcuts_dialog.h"
#include "views/panels/panel.h"

#include <QDockWidget>
#include <QImage>
#include <QMenuBar>
#include <QPushButton>
#include <QSettings>
#include <QSignalSpy>
#include <QStandardPaths>
#include <QTemporaryDir>
#include <QTest>
#include <QTreeWidget>

#include <set>

using namespace ql;
using namespace ql::views;

class MainWindowTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        QStandardPaths::setTestModeEnabled(true);
        QCoreApplication::setOrganizationName(QStringLiteral("QuantLoupe"));
        QCoreApplication::setApplicationName(QStringLiteral("window-test"));
        QSettings().clear();
        QVERIFY(test::writeTinyModel(m_folder.path() + QStringLiteral("/model")));
    }

    void opensEmptyThenWork()
    {
        Executor executor(2);
        MainWindow window(executor);
        window.show();
        QVERIFY(QTest::qWaitForWindowExposed(&window));
        QCOMPARE(window.windowTitle(), QStringLiteral("QuantLoupe"));
        QSignalSpy measured(&window.document(), &Document::measured);
        window.open(m_folder.path() + QStringLiteral("/model"));
        QVERIFY(measured.wait(60000));
        QVERIFY(window.windowTitle().startsWith(QStringLiteral("model")));
        QVERIFY(!window.isWindowModified());
        Document& d = window.document();
        const LayerColumn change{d.planLayers().back(), d.ladder(d.planLayers().back()).front()};
        d.assign(std::span(&change, 1), QStringLiteral("one"));
        QVERIFY(window.isWindowModified());
        QTest::keyClick(&window, Qt::Key_Z, Qt::ControlModifier);
        QVERIFY(!window.isWindowModified());
        QVERIFY(d.undoStack().canRedo());
        QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 60000);
        QVERIFY(window.jobs().failures().empty());
    }

    void aStudyRemembersTheLayer()
    {
        const QString path = m_folder.filePath(QStringLiteral("seen.qloupe"));
        Executor executor(2);
        const char* name = "model.layers.1.mlp.up_proj.weight";
        {
            MainWindow window(executor);
            QSignalSpy measured(&window.document(), &Document::measured);
            window.open(m_folder.path() + QStringLiteral("/model"));
            QVERIFY(measured.wait(60000));
            window.document().selection().setCurrent(window.document().model()->indexOf(name));
            window.document().setViewState("layer", name);
            QSignalSpy saved(&window.document(), &Document::saved);
            window.document().save(path);
            QVERIFY(saved.wait(30000));
        }
        MainWindow window(executor);
        QSignalSpy opened(&window.document(), &Document::opened);
        window.open(path);
        QVERIFY(opened.wait(60000));
        QCOMPARE(window.document().selection().current(), window.document().model()->indexOf(name));
    }

    void everyDockHasANameAndReturns()
    {
        Executor executor(1);
        MainWindow window(executor);
        window.show();
        std::set<QString> names;
        const auto docks = window.findChildren<QDockWidget*>();
        QCOMPARE(docks.size() + 1, static_cast<qsizetype>(allPanels().size())); // one panel is the centre
        for (QDockWidget* dock : docks) {
            QVERIFY(!dock->objectName().isEmpty());
            QVERIFY(names.insert(dock->objectName()).second);
            dock->close();
            QVERIFY(!dock->toggleViewAction()->isChecked());
        }
        window.resetLayout();
        for (QDockWidget* dock : docks)
            QVERIFY(dock->toggleViewAction()->isChecked());
    }

    void garbageLayoutsAreIgnored()
    {
        QSettings().setValue(QStringLiteral("window/layout"), QByteArray("nonsense"));
        Executor executor(1);
        MainWindow window(executor);
        window.show();
        for (QDockWidget* dock : window.findChildren<QDockWidget*>())
            QVERIFY(dock->toggleViewAction()->isChecked());
        QSettings().clear();
    }

    void theThemeChangesEverything()
    {
        Executor executor(1);
        MainWindow window(executor);
        window.show();
        QVERIFY(QTest::qWaitForWindowExposed(&window));
        window.setTheme(ThemeChoice::dark);
        QCoreApplication::processEvents();
        const QImage dark = window.grab().toImage().scaled(1, 1, Qt::IgnoreAspectRatio, Qt::SmoothTransformation);
        window.setTheme(ThemeChoice::light);
        QCoreApplication::processEvents();
        const QImage light = window.grab().toImage().scaled(1, 1, Qt::IgnoreAspectRatio, Qt::SmoothTransformation);
        QVERIFY2(qGray(dark.pixel(0, 0)) < 80, qPrintable(QString::number(qGray(dark.pixel(0, 0)))));
        QVERIFY(qGray(light.pixel(0, 0)) > 180);
    }

    void shortcutsAreUniqueAndListed()
    {
        Executor executor(1);
        MainWindow window(executor);
        std::set<QString> keys;
        for (const QMenu* menu : window.menuBar()->findChildren<QMenu*>()) {
            for (const QAction* action : menu->actions()) {
                for (const QKeySequence& key : action->shortcuts()) {
                    if (!key.isEmpty())
                        QVERIFY2(keys.insert(key.toString()).second, qPrintable(key.toString() + action->text()));
                }
            }
        }
        QVERIFY(keys.count(QStringLiteral("Ctrl+O")));
        const ShortcutsDialog sheet(window);
        const auto* tree = sheet.findChild<QTreeWidget*>();
        QStringList listed;
        for (int i = 0; i < tree->topLevelItem(0)->childCount(); ++i)
            listed << tree->topLevelItem(0)->child(i)->text(0);
        for (const QString& key : keys)
            QVERIFY2(listed.contains(QKeySequence(key).toString(QKeySequence::NativeText)), qPrintable(key));
    }

    void exportsAndVerifies()
    {
        Executor executor(2);
        MainWindow window(executor);
        QSignalSpy measured(&window.document(), &Document::measured);
        window.open(m_folder.path() + QStringLiteral("/model"));
        QVERIFY(measured.wait(60000));
        Document& d = window.document();
        std::vector<LayerColumn> changes;
        for (const std::int64_t layer : d.planLayers())
            changes.push_back({layer, d.ladder(layer).front()});
        d.assign(changes, QStringLiteral("lowest"));
        ExportDialog dialog(d, window.jobs());
        dialog.show();
        const QString path = m_folder.filePath(
            QStringLiteral("out") +
            QString::fromUtf8(d.target()->extension.data(), static_cast<qsizetype>(d.target()->extension.size())));
        dialog.setPath(path);
        QVERIFY(dialog.command().contains(QStringLiteral("qloupe export")));
        QVERIFY(dialog.command().contains(path));
        QSignalSpy finished(&dialog, &ExportDialog::finishedExport);
        for (QPushButton* button : dialog.findChildren<QPushButton*>()) {
            if (button->text() == QStringLiteral("&Export"))
                QTest::mouseClick(button, Qt::LeftButton);
        }
        QVERIFY(finished.wait(60000));
        QVERIFY(finished.front().front().toBool());
        QVERIFY(QFileInfo::exists(path));
    }

private:
    QTemporaryDir m_folder;
};

QTEST_MAIN(MainWindowTest)
#include "main_window_test.moc"
