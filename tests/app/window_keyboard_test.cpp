// SPDX-License-Identifier: GPL-3.0-or-later
// The main job without a mouse: open, go to the bars, assign, undo, balance, accept, export, verify. Every panel can be
// reached, every mnemonic is unique, and what has the focus shows it.
#include "app/main_window.h"
#include "tests/support/modal_dialogs.h"
#include "tests/support/tiny_model.h"
#include "views/allocation/bit_bars.h"
#include "views/dialogs/export_dialog.h"
#include "views/panels/allocation/balance_preview.h"
#include "views/panels/panel.h"

#include <QAbstractButton>
#include <QDockWidget>
#include <QImage>
#include <QLabel>
#include <QLineEdit>
#include <QMenuBar>
#include <QSettings>
#include <QSignalSpy>
#include <QStandardPaths>
#include <QTemporaryDir>
#include <QTest>

#include <map>
#include <set>

using namespace ql;
using namespace ql::views;

class WindowKeyboardTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        QStandardPaths::setTestModeEnabled(true);
        QCoreApplication::setOrganizationName(QStringLiteral("QuantLoupe"));
        QCoreApplication::setApplicationName(QStringLiteral("window-keyboard-test"));
        QApplication::setAttribute(Qt::AA_DontUseNativeDialogs);
        QSettings().clear();
        QVERIFY(test::writeTinyModel(m_model));
    }

    void fromStartToExport()
    {
        Executor executor(2);
        MainWindow window(executor);
        window.show();
        QVERIFY(QTest::qWaitForWindowActive(&window));
        Document& d = window.document();

        QSignalSpy measured(&d, &Document::measured);
        const test::AnswerNext<QFileDialog> choose([this](QFileDialog& dialog) {
            auto* name = dialog.findChild<QLineEdit*>(QStringLiteral("fileNameEdit"));
            name->setText(m_model); // pasted: typing opens Qt's completer, which wants the keyboard for itself
            QTest::keyClick(name, Qt::Key_Return);
        });
        QTest::keyClick(&window, Qt::Key_O, Qt::ControlModifier | Qt::ShiftModifier);
        QVERIFY(choose.asked());
        window.activateWindow(); // as a window manager does when a dialog goes
        QVERIFY(QTest::qWaitForWindowActive(&window));
        QTRY_VERIFY_WITH_TIMEOUT(measured.size() > 0, 60000);

        auto* bars = window.findChild<BitBars*>();
        for (int i = 0; i < 10 && !bars->hasFocus(); ++i)
            QTest::keyClick(&window, Qt::Key_F6);
        QVERIFY(bars->hasFocus());
        QTest::keyClick(bars, Qt::Key_A, Qt::ControlModifier);
        QTest::keyClick(bars, Qt::Key_4);
        const double four = d.totals().bitsPerWeight;
        QVERIFY2(four > 4 && four < 5.5, qPrintable(QString::number(four)));
        QTest::keyClick(bars, Qt::Key_End);
        QTest::keyClick(bars, Qt::Key_8);
        QVERIFY(d.totals().bitsPerWeight > four);
        const double lastBits = d.layerBits(d.planLayers().back());
        QVERIFY2(lastBits >= 8 && lastBits < 9, qPrintable(QString::number(lastBits)));
        QTest::keyClick(bars, Qt::Key_Z, Qt::ControlModifier);
        QCOMPARE(d.totals().bitsPerWeight, four);
        QTest::keyClick(bars, Qt::Key_Z, Qt::ControlModifier | Qt::ShiftModifier);
        QVERIFY(d.totals().bitsPerWeight > four);
        QTest::keyClick(bars, Qt::Key_Space);
        QVERIFY(d.isLocked(d.planLayers().back()));

        // Budget, Balance, reject, again, accept.
        QTest::keyClick(&window, Qt::Key_U, Qt::AltModifier);
        auto* budget = qobject_cast<QLineEdit*>(window.focusWidget());
        QVERIFY(budget);
        budget->selectAll();
        QTest::keyClicks(budget, QStringLiteral("6 bpw"));
        QTest::keyClick(budget, Qt::Key_Return);
        QCOMPARE(*d.budget().bitsPerWeight, 6.0);
        const Plan before = d.plan();
        auto* preview = window.findChild<BalancePreview*>();
        QTest::keyClick(&window, Qt::Key_B, Qt::AltModifier);
        QTRY_VERIFY_WITH_TIMEOUT(preview->isVisible(), 30000);
        QVERIFY(preview->isAncestorOf(window.focusWidget())); // Enter accepts, Esc does not
        QTest::keyClick(window.focusWidget(), Qt::Key_Escape);
        QVERIFY(!preview->isVisible());
        QCOMPARE(d.plan(), before);
        window.findChild<QLineEdit*>(QStringLiteral("layerFilter"))->setFocus(); // from anywhere
        QTest::keyClick(&window, Qt::Key_B, Qt::AltModifier);
        QTRY_VERIFY_WITH_TIMEOUT(preview->isVisible(), 30000);
        QTest::keyClick(window.focusWidget(), Qt::Key_Return);
        QVERIFY(!preview->isVisible());
        QVERIFY(!(d.plan() == before));
        QVERIFY(d.totals().bitsPerWeight <= 6.0);
        QCOMPARE(d.layerBits(d.planLayers().back()), lastBits); // it is locked
        QTest::keyClick(&window, Qt::Key_Z, Qt::ControlModifier);
        QCOMPARE(d.plan(), before);
        QTest::keyClick(&window, Qt::Key_Z, Qt::ControlModifier | Qt::ShiftModifier);

        QTest::keyClick(&window, Qt::Key_E, Qt::ControlModifier);
        auto* dialog = window.findChild<ExportDialog*>();
        QVERIFY(dialog);
        QVERIFY(QTest::qWaitForWindowActive(dialog));
        auto* path = qobject_cast<QLineEdit*>(dialog->focusWidget());
        QVERIFY(path); // where to write is the first question
        path->selectAll();
        QTest::keyClicks(path, m_folder.filePath(QStringLiteral("exported")));
        QSignalSpy finished(dialog, &ExportDialog::finishedExport);
        QTest::keyClick(path, Qt::Key_Return);
        QVERIFY(finished.wait(60000));
        QVERIFY(finished.front().front().toBool());
        QVERIFY(QFileInfo::exists(m_folder.filePath(QStringLiteral("exported/config.json"))));
        QTest::keyClick(dialog, Qt::Key_Escape);
        QTRY_VERIFY(!window.findChild<ExportDialog*>() || !dialog->isVisible());
    }

    void f6ReachesEveryPanelAndComesBack()
    {
        Executor executor(2);
        MainWindow window(executor);
        window.show();
        QVERIFY(QTest::qWaitForWindowActive(&window));
        QSignalSpy measured(&window.document(), &Document::measured);
        window.open(m_model);
        QVERIFY(measured.wait(60000));
        const auto count = static_cast<int>(allPanels().size());
        for (const auto modifier : {Qt::NoModifier, Qt::ShiftModifier}) {
            std::set<const QWidget*> seen;
            for (int i = 0; i < count; ++i) {
                QTest::keyClick(&window, Qt::Key_F6, modifier);
                const QWidget* focused = window.focusWidget();
                QVERIFY(focused && focused->isVisible());
                seen.insert(focused);
            }
            QCOMPARE(seen.size(), allPanels().size());
            const QWidget* last = window.focusWidget();
            for (int i = 0; i < count; ++i)
                QTest::keyClick(&window, Qt::Key_F6, modifier);
            QCOMPARE(window.focusWidget(), last);
        }
    }

    void everyFocusedViewShowsIt()
    {
        Executor executor(2);
        MainWindow window(executor);
        window.show();
        QVERIFY(QTest::qWaitForWindowActive(&window));
        QSignalSpy measured(&window.document(), &Document::measured);
        window.open(m_model);
        QVERIFY(measured.wait(60000));
        QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 60000);
        for (std::size_t i = 0; i < allPanels().size(); ++i) {
            QTest::keyClick(&window, Qt::Key_F6);
            QWidget* focused = window.focusWidget();
            QTest::qWait(50);
            const QImage with = focused->grab().toImage();
            focused->clearFocus();
            QTest::qWait(50);
            const QImage without = focused->grab().toImage();
            QVERIFY2(with != without,
                     qPrintable(focused->accessibleName() + QLatin1String(focused->metaObject()->className())));
            focused->setFocus();
        }
    }

    void mnemonicsAreUnique()
    {
        Executor executor(1);
        MainWindow window(executor);
        std::map<QString, QString> owners;
        const auto check = [&owners](const QString& text) {
            const QKeySequence key = QKeySequence::mnemonic(text);
            if (key.isEmpty())
                return true;
            const bool fresh = owners.emplace(key.toString(), text).second;
            if (!fresh)
                qWarning("%s: %s and %s", qPrintable(key.toString()), qPrintable(owners[key.toString()]),
                         qPrintable(text));
            return fresh;
        };
        bool unique = true;
        for (const QAction* menu : window.menuBar()->actions())
            unique &= check(menu->text());
        for (const QDockWidget* dock : window.findChildren<QDockWidget*>()) {
            for (const auto* button : dock->findChildren<QAbstractButton*>())
                unique &= check(button->text());
            for (const auto* label : dock->findChildren<QLabel*>()) {
                if (label->buddy())
                    unique &= check(label->text());
            }
        }
        for (const auto* button : window.centralWidget()->findChildren<QAbstractButton*>())
            unique &= check(button->text());
        QVERIFY(unique);
        for (const QMenu* menu : window.menuBar()->findChildren<QMenu*>()) {
            owners.clear();
            for (const QAction* action : menu->actions())
                QVERIFY2(check(action->text()), qPrintable(menu->title()));
        }
    }

private:
    QTemporaryDir m_folder;
    QString m_model = m_folder.filePath(QStringLiteral("model"));
};

QTEST_MAIN(WindowKeyboardTest)
#include "window_keyboard_test.moc"
