// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/main_window.h"

#include "core/base/file.h"
#include "core/base/resources.h"
#include "core/plan/plan_inputs.h"
#include "views/dialogs/calibrate_dialog.h"
#include "views/dialogs/export_dialog.h"
#include "views/dialogs/transform_dialog.h"
#include "views/dialogs/validate_dialog.h"
#include "views/document/recent_files.h"
#include "views/jobs/job_status.h"
#include "views/panels/panel.h"
#include "views/text/format.h"
#include "views/welcome/welcome_page.h"

#include <QCloseEvent>
#include <QDockWidget>
#include <QFileDialog>
#include <QFileInfo>
#include <QInputDialog>
#include <QMessageBox>
#include <QMimeData>
#include <QPushButton>
#include <QSettings>
#include <QStackedWidget>
#include <QStatusBar>
#include <QTimer>

namespace ql::views {

namespace {

const QString kThemeKey = QStringLiteral("theme");
const QString kStudyFilter = QStringLiteral("QuantLoupe (*.qloupe)");

} // namespace

MainWindow::MainWindow(Executor& executor, QWidget* parent)
    : QMainWindow(parent),
      m_jobs(executor),
      m_document(m_jobs),
      m_runs(m_document, m_jobs),
      m_recovery(m_document),
      m_stack(new QStackedWidget(this)),
      m_welcome(new WelcomePage(this)),
      m_status(new JobStatus(m_jobs, this))
{
    setObjectName(QStringLiteral("mainWindow"));
    setAcceptDrops(true);
    setDockOptions(AnimatedDocks | AllowNestedDocks | AllowTabbedDocks);
    setTabPosition(Qt::AllDockWidgetAreas, QTabWidget::North);
    setCentralWidget(m_stack);
    m_stack->addWidget(m_welcome);
    statusBar()->addPermanentWidget(m_status);
    applyTheme(themeFromWord(QSettings().value(kThemeKey).toString()));
    buildPanels();
    buildMenus();
    connectDocument();
    restoreLayout();
    refreshTitle();
    refreshActions();
}

MainWindow::~MainWindow()
{
    // Members outlive this class's part but not the widgets that listen to them.
    disconnect(&m_document, nullptr, this, nullptr);
    disconnect(&m_jobs, nullptr, this, nullptr);
    disconnect(&m_runs.validations, nullptr, this, nullptr);
    for (QDockWidget* dock : findChildren<QDockWidget*>())
        delete dock;
    delete takeCentralWidget();
    statusBar()->removeWidget(m_status);
    delete m_status;
}

void MainWindow::connectDocument()
{
    connect(&m_document, &Document::titleChanged, this, &MainWindow::refreshTitle);
    connect(&m_document, &Document::opening, this, [this](const QString& path) {
        m_welcome->setProblem({});
        m_welcome->setBusy(tr("Opening %1…").arg(path));
    });
    connect(&m_document, &Document::opened, this, [this] {
        m_welcome->setBusy({});
        addRecentFile(m_document.studyPath().isEmpty() ? m_document.checkpointPath() : m_document.studyPath());
        restoreViewState();
        if (m_recovering.file.isEmpty())
            offerRecovery();
        else
            restore(std::exchange(m_recovering, {}));
        openSampleActivations();
        statusBar()->showMessage(tr("Opened %1").arg(m_document.checkpointPath()), 5000);
    });
    connect(&m_document, &Document::openFailed, this, [this](const QString& path, const QString& reason) {
        m_welcome->setBusy({});
        m_recovering = {};
        if (reason.isEmpty())
            return;
        m_welcome->setProblem(reason);
        report(tr("Opening %1").arg(path), reason);
    });
    connect(&m_document, &Document::modelChanged, this, [this] {
        m_stack->setCurrentIndex(m_document.isOpen() && m_stack->count() > 1 ? 1 : 0);
        if (!m_document.isOpen())
            m_welcome->refresh();
        refreshActions();
    });
    connect(&m_document, &Document::saveFailed, this, [this](const QString& path, const QString& reason) {
        m_afterSave = {};
        statusBar()->showMessage(tr("%1 is not saved: %2").arg(path, reason), 8000);
        m_status->showProblems();
    });
    connect(&m_document, &Document::saved, this, [this](const QString& path) {
        addRecentFile(path);
        statusBar()->showMessage(tr("Saved %1").arg(path), 5000);
        if (const auto then = std::exchange(m_afterSave, {}))
            then();
    });
    connect(&m_runs.validations, &ValidationRuns::stateChanged, this, [this] {
        if (m_runs.validations.isRunning())
            showPanel("validation");
    });
    connect(&m_document, &Document::transformed, this, [this](const std::vector<Warning>& notes) {
        for (const Warning& note : findChild<TransformDialog*>() ? std::vector<Warning>() : notes) // it shows them
            m_jobs.report(tr("Warning"), {Errc::badInput, note.what, note.where});
        statusBar()->showMessage(tr("%1 is shown").arg(m_document.title()), 5000);
    });
    connect(&m_document, &Document::transformFailed, this, [this](const QString& reason) {
        if (!reason.isEmpty() && !findChild<TransformDialog*>())
            report(tr("Transform"), reason);
    });
    connect(m_welcome, &WelcomePage::openFileRequested, this, &MainWindow::openFile);
    connect(m_welcome, &WelcomePage::openFolderRequested, this, &MainWindow::openFolder);
    connect(m_welcome, &WelcomePage::sampleRequested, this, &MainWindow::openSample);
    connect(m_welcome, &WelcomePage::pathRequested, this, &MainWindow::open);
    connect(m_welcome, &WelcomePage::recoverRequested, this, &MainWindow::recover);
    connect(m_welcome, &WelcomePage::discardRequested, this, [this](const RecoveredWork& work) {
        Recovery::remove(work);
        m_welcome->refresh();
    });
    connect(&m_document, &Document::activationsChanged, this, [this] {
        if (!m_document.activationsPath().isEmpty())
            statusBar()->showMessage(tr("Activations of %1").arg(m_document.activationsPath()), 5000);
    });
}

void MainWindow::refreshTitle()
{
    const QString title = m_document.title();
    setWindowTitle(title.isEmpty() ? tr("QuantLoupe") : tr("%1[*] — QuantLoupe").arg(title));
    setWindowModified(m_document.isModified());
}

void MainWindow::report(const QString& doing, const QString& problem)
{
    m_jobs.report(doing, {Errc::badInput, problem.toStdString(), {}});
    statusBar()->showMessage(problem, 8000);
}

void MainWindow::whenSaved(std::function<void()> then)
{
    if (!m_document.isModified()) {
        then();
        return;
    }
    const auto answer = QMessageBox::warning(
        this, tr("Unsaved plan"), tr("The plan of %1 has changes that are not saved.").arg(m_document.title()),
        QMessageBox::Save | QMessageBox::Discard | QMessageBox::Cancel, QMessageBox::Save);
    if (answer == QMessageBox::Discard) {
        then();
    } else if (answer == QMessageBox::Save) {
        m_afterSave = std::move(then);
        if (!save())
            m_afterSave = {};
    }
}

bool MainWindow::save()
{
    if (m_document.studyPath().isEmpty())
        return saveAs();
    takeViewState();
    m_document.save(m_document.studyPath());
    return true;
}

bool MainWindow::saveAs()
{
    if (!m_document.isOpen())
        return false;
    const QString proposed = m_document.studyPath().isEmpty()
                                 ? QFileInfo(m_document.checkpointPath()).completeBaseName() + QStringLiteral(".qloupe")
                                 : m_document.studyPath();
    QString path = QFileDialog::getSaveFileName(this, tr("Save the study"), proposed, kStudyFilter);
    if (path.isEmpty())
        return false;
    if (!path.endsWith(QLatin1String(".qloupe")))
        path += QStringLiteral(".qloupe");
    takeViewState();
    m_document.save(path);
    return true;
}

void MainWindow::open(const QString& path)
{
    whenSaved([this, path] { m_document.open(QFileInfo(path).absoluteFilePath()); });
}

void MainWindow::openSample()
{
    if (const auto sample = findSample())
        open(pathText(*sample));
    else
        m_welcome->setProblem(errorText(sample.error()));
}

void MainWindow::openSampleActivations()
{
    const auto sample = findSample();
    if (!sample || m_document.activations() || m_document.variant() ||
        QFileInfo(pathText(*sample)) != QFileInfo(m_document.checkpointPath())) // whatever way it was opened
        return;
    const QString activations = pathText(*sample / "activations.npz");
    if (QFileInfo::exists(activations))
        m_document.openActivations(activations);
}

void MainWindow::openFile()
{
    const QString path = QFileDialog::getOpenFileName(
        this, tr("Open a checkpoint or study"), QString(),
        tr("Checkpoints and studies (*.safetensors *.gguf *.onnx *.h5 *.hdf5 *.keras *.npz *.npy *.json *.qloupe);;"
           "All files (*)"));
    if (!path.isEmpty())
        open(path);
}

void MainWindow::openFolder()
{
    const QString path = QFileDialog::getExistingDirectory(this, tr("Open a model's folder"));
    if (!path.isEmpty())
        open(path);
}

void MainWindow::recover(const RecoveredWork& work)
{
    const QString path = work.study.isEmpty() || !QFileInfo::exists(work.study) ? work.checkpoint : work.study;
    whenSaved([this, work, path] {
        m_recovering = work;
        m_document.open(path);
    });
}

void MainWindow::restore(const RecoveredWork& work)
{
    Recovery::restore(work, m_document, [this, work](const Result<void>& restored) {
        if (restored)
            Recovery::remove(work);
        else
            report(tr("Recover"), errorText(restored.error()));
    });
}

void MainWindow::offerRecovery()
{
    for (const RecoveredWork& work : Recovery::leftBehind()) {
        if (work.study != m_document.studyPath() || work.checkpoint != m_document.checkpointPath())
            continue;
        auto* question = new QMessageBox(
            QMessageBox::Question, tr("Unsaved plan"),
            tr("A plan of %1 for %2 was not saved when the program ended.").arg(work.time, m_document.title()),
            QMessageBox::NoButton, this);
        question->setObjectName(QStringLiteral("offerRecovery"));
        question->setAttribute(Qt::WA_DeleteOnClose);
        QPushButton* back = question->addButton(tr("&Restore"), QMessageBox::AcceptRole);
        QPushButton* discard = question->addButton(tr("&Discard"), QMessageBox::DestructiveRole);
        question->addButton(tr("&Later"), QMessageBox::RejectRole);
        question->setDefaultButton(back);
        connect(back, &QPushButton::clicked, this, [this, work] { restore(work); });
        connect(discard, &QPushButton::clicked, this, [work] { Recovery::remove(work); });
        question->open();
        return;
    }
}

void MainWindow::exportPlan()
{
    auto* dialog = new ExportDialog(m_document, m_jobs, this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->show();
}

void MainWindow::calibrate()
{
    auto* dialog = new CalibrateDialog(m_document, m_jobs, m_runs, this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->show();
}

void MainWindow::validate()
{
    auto* dialog = new ValidateDialog(m_document, m_jobs, m_runs, this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->show();
}

void MainWindow::transform()
{
    auto* dialog = new TransformDialog(m_document, m_jobs, m_runs, this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->show();
}

void MainWindow::showVariant(const std::string& text)
{
    if (const auto specs = parseTransforms(text))
        m_document.transform(*specs);
    else
        report(tr("Transform"), errorText(specs.error()));
}

void MainWindow::loadPlan()
{
    const QString path = QFileDialog::getOpenFileName(this, tr("Load a plan"), QString(), tr("Plan (*.json)"));
    if (path.isEmpty())
        return;
    constexpr std::int64_t kLongestPlan = std::int64_t{256} << 20;
    const auto text = readTextFile(toPath(path), kLongestPlan);
    if (!text) {
        report(tr("Loading a plan"), errorText(text.error()));
        return;
    }
    m_document.adoptPlanText(*text, tr("Load plan %1").arg(QFileInfo(path).fileName()),
                             [this, path](const Result<void>& loaded) {
                                 if (!loaded)
                                     report(tr("Loading a plan"), tr("%1: %2").arg(path, errorText(loaded.error())));
                             });
}

void MainWindow::savePlan()
{
    const QString path = QFileDialog::getSaveFileName(this, tr("Save the plan as text"), QStringLiteral("plan.json"),
                                                      tr("Plan (*.json)"));
    if (path.isEmpty())
        return;
    Plan plan = m_document.plan();
    nameActivations(plan, m_document.activations().get());
    if (const auto written = writePlan(plan, *m_document.model(), toPath(path)); !written)
        report(tr("Saving the plan"), errorText(written.error()));
    else
        statusBar()->showMessage(tr("Saved %1").arg(path), 5000);
}

void MainWindow::editCandidates()
{
    QStringList now;
    for (const Candidate& candidate : m_document.ownCandidates())
        now << toQString(printCandidate(candidate));
    bool ok = false;
    const QString text = QInputDialog::getText(
        this, tr("Candidates"),
        tr("Offer these instead of the target's own list, e.g. int4:g64, int4:g64@mse, int8:channel, mxfp4.\n"
           "Empty: the target's list."),
        QLineEdit::Normal, now.join(QStringLiteral(", ")), &ok);
    if (!ok)
        return;
    if (const auto taken = m_document.setCandidates(text); !taken)
        report(tr("Candidates"), errorText(taken.error()));
}

void MainWindow::setTheme(ThemeChoice choice)
{
    applyTheme(choice);
    QSettings().setValue(kThemeKey, themeWord(choice));
}

void MainWindow::closeEvent(QCloseEvent* event)
{
    if (m_jobs.isRunning(ExportDialog::channel()) &&
        QMessageBox::question(this, tr("Export"), tr("An export is still running. Stop it and close?")) !=
            QMessageBox::Yes) {
        event->ignore();
        return;
    }
    bool leave = false;
    whenSaved([&leave] { leave = true; });
    if (m_afterSave) { // saving runs as a job; the window closes when it is done
        m_afterSave = [this] { close(); };
        event->ignore();
        return;
    }
    if (!leave) {
        event->ignore();
        return;
    }
    keepLayout();
    m_jobs.cancelAll();
    m_recovery.discard();
    event->accept();
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event)
{
    const auto urls = event->mimeData()->urls();
    if (urls.size() == 1 && urls.front().isLocalFile())
        event->acceptProposedAction();
}

void MainWindow::dropEvent(QDropEvent* event)
{
    const QString path = event->mimeData()->urls().front().toLocalFile();
    event->acceptProposedAction();
    // The drop is finished before a question may open.
    QTimer::singleShot(0, this, [this, path] { m_document.openActivationsOr(path, [this, path] { open(path); }); });
}

} // namespace ql::views
