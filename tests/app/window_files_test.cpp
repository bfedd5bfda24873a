// SPDX-License-Identifier: GPL-3.0-or-later
// Files and the window: drops, the question about unsaved work, saving that fails, activations, recent files, recovery.
#include "app/main_window.h"
#include "tests/support/modal_dialogs.h"
#include "tests/support/tiny_model.h"
#include "views/document/recent_files.h"
#include "views/welcome/welcome_page.h"

#include <sys/wait.h>
#include <unistd.h>

#include <QDir>
#include <QDragEnterEvent>
#include <QJsonDocument>
#include <QJsonObject>
#include <QMenuBar>
#include <QMimeData>
#include <QPushButton>
#include <QSettings>
#include <QSignalSpy>
#include <QStandardPaths>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>

using namespace ql;
using namespace ql::views;
using test::AnswerNext;
using test::ChooseNext;
using test::PressNext;

namespace {

const QString kSample = QStringLiteral(QL_SOURCE_DIR "/resources/sample");

QAction* actionOf(const QWidget& window, const QString& text)
{
    for (QAction* action : window.findChildren<QAction*>()) {
        if (action->text().remove(QLatin1Char('&')) == text)
            return action;
    }
    return nullptr;
}

/// What the window system sends when a file is dropped.
bool drop(QWidget& window, const QString& path)
{
    QMimeData data;
    data.setUrls({QUrl::fromLocalFile(path)});
    QDragEnterEvent enter(QPoint(10, 10), Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
    QCoreApplication::sendEvent(&window, &enter);
    if (!enter.isAccepted())
        return false;
    QDropEvent dropped(QPointF(10, 10), Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
    QCoreApplication::sendEvent(&window, &dropped);
    return dropped.isAccepted();
}

void edit(Document& document)
{
    for (const std::int64_t layer : document.planLayers()) {
        if (document.ladder(layer).size() < 2 || document.columnOf(layer) == document.ladder(layer).front())
            continue;
        const LayerColumn change{layer, document.ladder(layer).front()};
        document.assign(std::span(&change, 1), QStringLiteral("edit"));
        return;
    }
    qFatal("nothing to edit");
}

/// The number of a process that has ended.
qint64 endedProcess()
{
    const pid_t child = ::fork();
    if (child == 0)
        ::_exit(0);
    ::waitpid(child, nullptr, 0);
    return child;
}

struct Opened {
    explicit Opened(const QString& path)
    {
        window.show();
        QSignalSpy opened(&window.document(), &Document::opened);
        window.open(path);
        if (!opened.wait(60000))
            qFatal("not opened");
    }
    Document& document() { return window.document(); }

    Executor executor{2};
    MainWindow window{executor};
};

} // namespace

class WindowFilesTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        QStandardPaths::setTestModeEnabled(true);
        QCoreApplication::setOrganizationName(QStringLiteral("QuantLoupe"));
        QCoreApplication::setApplicationName(QStringLiteral("window-files-test"));
        QApplication::setAttribute(Qt::AA_DontUseNativeDialogs);
        QVERIFY(test::writeTinyModel(m_model));
        QVERIFY(test::writeTinyModel(m_other));
        // The sample elsewhere: there it brings no activations along.
        QVERIFY(QDir().mkpath(m_copy));
        for (const char* name : {"config.json", "model.safetensors"})
            QVERIFY(QFile::copy(kSample + QLatin1Char('/') + QLatin1String(name),
                                m_copy + QLatin1Char('/') + QLatin1String(name)));
    }
    void init()
    {
        QSettings().clear();
        QDir(Recovery::folder()).removeRecursively();
    }

    void aDroppedModelOpens()
    {
        Executor executor(2);
        MainWindow window(executor);
        window.show();
        QSignalSpy opened(&window.document(), &Document::opened);
        QVERIFY(drop(window, m_model));
        QVERIFY(opened.wait(60000));
        QCOMPARE(window.document().checkpointPath(), m_model);
        QVERIFY(drop(window, m_other)); // and another one replaces it
        QVERIFY(opened.wait(60000));
        QCOMPARE(window.document().checkpointPath(), m_other);
    }

    void aDroppedStudyOpens()
    {
        const QString path = m_folder.filePath(QStringLiteral("dropped.qloupe"));
        {
            Opened work(m_model);
            QSignalSpy saved(&work.document(), &Document::saved);
            work.document().save(path);
            QVERIFY(saved.wait(30000));
        }
        Executor executor(2);
        MainWindow window(executor);
        QSignalSpy opened(&window.document(), &Document::opened);
        QVERIFY(drop(window, path));
        QVERIFY(opened.wait(60000));
        QCOMPARE(window.document().studyPath(), path);
    }

    void droppedActivationsBelongToTheOpenModel()
    {
        Opened work(m_copy);
        QSignalSpy changed(&work.document(), &Document::activationsChanged);
        QVERIFY(drop(work.window, kSample + QStringLiteral("/activations.npz")));
        QVERIFY(changed.wait(30000));
        QCOMPARE(work.document().checkpointPath(), m_copy);
        QCOMPARE(work.document().activationsPath(), kSample + QStringLiteral("/activations.npz"));
        QVERIFY(!work.window.isWindowModified()); // nothing is lost without them
        QVERIFY(work.window.jobs().failures().empty());
    }

    void aDropThatIsNeitherIsAProblemThatSaysWhy()
    {
        Opened work(m_model);
        const QString path = m_folder.filePath(QStringLiteral("notes.npz"));
        QFile file(path);
        QVERIFY(file.open(QIODevice::WriteOnly));
        file.write("not an archive");
        file.close();
        QSignalSpy failed(&work.document(), &Document::openFailed);
        QVERIFY(drop(work.window, path));
        QVERIFY(failed.wait(30000));
        QCOMPARE(work.document().checkpointPath(), m_model);
        QVERIFY(failed.front()[1].toString().contains(QStringLiteral("notes.npz")));
    }

    void activationsComeThroughTheMenu()
    {
        Opened work(m_copy);
        QSignalSpy changed(&work.document(), &Document::activationsChanged);
        const ChooseNext choose(kSample + QStringLiteral("/activations.npz"));
        actionOf(work.window, QStringLiteral("Load activations…"))->trigger();
        QVERIFY(choose.asked());
        QVERIFY(changed.wait(30000));
        QCOMPARE(work.document().activations()->layers().size(), std::size_t{28});
    }

    void openingTheSampleChangesNothing()
    {
        Executor executor(2);
        MainWindow window(executor);
        QSignalSpy changed(&window.document(), &Document::activationsChanged);
        actionOf(window, QStringLiteral("Open the sample"))->trigger();
        QTRY_VERIFY_WITH_TIMEOUT(window.document().activations(), 60000);
        QVERIFY(!window.isWindowModified());
    }

    void closingAsks_data()
    {
        QTest::addColumn<int>("button");
        QTest::addColumn<bool>("closes");
        QTest::newRow("cancel") << int(QMessageBox::Cancel) << false;
        QTest::newRow("discard") << int(QMessageBox::Discard) << true;
        QTest::newRow("save") << int(QMessageBox::Save) << true;
    }
    void closingAsks()
    {
        QFETCH(int, button);
        QFETCH(bool, closes);
        const QString path = m_folder.filePath(QStringLiteral("closing-%1.qloupe").arg(button));
        Opened work(m_model);
        QSignalSpy saved(&work.document(), &Document::saved);
        work.document().save(path);
        QVERIFY(saved.wait(30000));
        edit(work.document());
        const Plan plan = work.document().plan();
        QVERIFY(work.window.isWindowModified());
        const PressNext press(static_cast<QMessageBox::StandardButton>(button));
        work.window.close();
        QVERIFY(press.asked());
        if (closes)
            QTRY_VERIFY_WITH_TIMEOUT(!work.window.isVisible(), 30000);
        else
            QVERIFY(work.window.isVisible());
        const bool isSaved = button == QMessageBox::Save;
        QCOMPARE(saved.size(), isSaved ? 2 : 1);
        Opened again(path);
        QCOMPARE(again.document().plan() == plan, isSaved);
    }

    void openingAnotherAsks_data() { closingAsks_data(); }
    void openingAnotherAsks()
    {
        QFETCH(int, button);
        QFETCH(bool, closes);
        const QString path = m_folder.filePath(QStringLiteral("another-%1.qloupe").arg(button));
        Opened work(m_model);
        edit(work.document());
        const PressNext press(static_cast<QMessageBox::StandardButton>(button));
        const ChooseNext choose(path); // it was never saved: the question leads to the name
        work.window.open(m_other);
        QVERIFY(press.asked());
        QCOMPARE(choose.asked(), button == QMessageBox::Save);
        if (closes)
            QTRY_COMPARE_WITH_TIMEOUT(work.document().checkpointPath(), m_other, 30000);
        else
            QCOMPARE(work.document().checkpointPath(), m_model);
        QCOMPARE(QFileInfo::exists(path), button == QMessageBox::Save);
    }

    void savingThatFailsKeepsTheWindowAndTheNextSaveDoesNotCloseIt()
    {
        if (::geteuid() == 0 && !QDir(QStringLiteral("/proc")).exists())
            QSKIP("nowhere is unwritable");
        Opened work(m_model);
        edit(work.document());
        const PressNext press(QMessageBox::Save);
        const ChooseNext choose(QStringLiteral("/proc/nowhere.qloupe")); // not even root writes there
        QSignalSpy failed(&work.document(), &Document::saveFailed);
        work.window.close();
        QVERIFY(choose.asked());
        QTRY_COMPARE_WITH_TIMEOUT(failed.size(), 1, 30000);
        QVERIFY(work.window.isVisible());
        QVERIFY(work.window.isWindowModified());
        QSignalSpy saved(&work.document(), &Document::saved);
        work.document().save(m_folder.filePath(QStringLiteral("second.qloupe")));
        QVERIFY(saved.wait(30000));
        QCoreApplication::processEvents();
        QVERIFY(work.window.isVisible());
        work.window.close(); // nothing is unsaved now: no question
        QVERIFY(!work.window.isVisible());
    }

    void recentFilesThatAreGoneAreGreyed()
    {
        const QString gone = m_folder.filePath(QStringLiteral("R&D gone.gguf"));
        addRecentFile(gone);
        addRecentFile(m_model);
        Executor executor(1);
        MainWindow window(executor);
        QMenu* recent = actionOf(window, QStringLiteral("Open recent"))->menu();
        Q_EMIT recent->aboutToShow();
        const QList<QAction*> actions = recent->actions();
        QCOMPARE(actions[0]->text(), m_model);
        QVERIFY(actions[0]->isEnabled());
        QCOMPARE(actions[1]->text(), QString(gone).replace(QLatin1Char('&'), QStringLiteral("&&")));
        QVERIFY(!actions[1]->isEnabled());
        int greyed = 0;
        for (const QPushButton* entry : window.findChild<WelcomePage*>()->findChildren<QPushButton*>())
            greyed += !entry->isEnabled() && entry->toolTip().contains(gone) ? 1 : 0;
        QCOMPARE(greyed, 1);
    }

    void workOfAKilledProcessIsOffered()
    {
        Plan plan;
        {
            Opened work(m_model);
            edit(work.document());
            work.document().setBudget({.fileBytes = std::nullopt, .bitsPerWeight = 6.5});
            plan = work.document().plan();
            Recovery recovery(work.document());
            recovery.write();
            QCOMPARE(QDir(Recovery::folder()).entryList(QDir::Files).size(), 1);
            // As kill -9 leaves it: the file of a process that is gone.
            const QString mine = QDir(Recovery::folder()).entryInfoList(QDir::Files).front().filePath();
            QVERIFY(QFile::copy(mine, Recovery::folder() + QStringLiteral("/%1.json").arg(endedProcess())));
        }
        QCOMPARE(Recovery::leftBehind().size(), std::size_t{1});

        Opened later(m_model); // by whatever way it is opened
        auto* question = later.window.findChild<QMessageBox*>(QStringLiteral("offerRecovery"));
        QVERIFY(question);
        QVERIFY(!(later.document().plan() == plan));
        for (QAbstractButton* button : question->buttons()) {
            if (button->text() == QStringLiteral("&Restore"))
                button->click();
        }
        QCOMPARE(later.document().plan().candidates, plan.candidates);
        QCOMPARE(*later.document().budget().bitsPerWeight, 6.5);
        QVERIFY(later.window.isWindowModified());
        QVERIFY(Recovery::leftBehind().empty());
        later.document().undoStack().undo();
        QVERIFY(!(later.document().plan().candidates == plan.candidates));
    }

    void theWelcomePageRestoresAndDiscards()
    {
        {
            Opened work(m_model);
            edit(work.document());
            Recovery recovery(work.document());
            recovery.write();
            const QString mine = QDir(Recovery::folder()).entryInfoList(QDir::Files).front().filePath();
            for (int i = 0; i < 2; ++i)
                QVERIFY(QFile::copy(mine, Recovery::folder() + QStringLiteral("/%1.json").arg(endedProcess())));
        }
        Executor executor(2);
        MainWindow window(executor);
        window.show();
        auto* page = window.findChild<WelcomePage*>();
        const auto discards = page->findChildren<QToolButton*>();
        QCOMPARE(discards.size(), 2);
        QTest::mouseClick(discards.front(), Qt::LeftButton);
        QTRY_COMPARE(Recovery::leftBehind().size(), std::size_t{1});
        QTRY_COMPARE(page->findChildren<QToolButton*>().size(), 1);
        QSignalSpy opened(&window.document(), &Document::opened);
        for (QPushButton* entry : page->findChildren<QPushButton*>()) {
            if (entry->text().contains(QStringLiteral("plan of")))
                QTest::mouseClick(entry, Qt::LeftButton);
        }
        QVERIFY(opened.wait(60000));
        QVERIFY(window.isWindowModified());
        QVERIFY(Recovery::leftBehind().empty());
        QVERIFY(!window.findChild<QMessageBox*>(QStringLiteral("offerRecovery")));
    }

private:
    QTemporaryDir m_folder;
    QString m_model = m_folder.filePath(QStringLiteral("model"));
    QString m_copy = m_folder.filePath(QStringLiteral("copy"));
    QString m_other = m_folder.filePath(QStringLiteral("other"));
};

QTEST_MAIN(WindowFilesTest)
#include "window_files_test.moc"
