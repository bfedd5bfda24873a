// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/main_window.h"

#include "core/base/resources.h"
#include "views/dialogs/export_dialog.h"
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
#include <QSettings>
#include <QStackedWidget>
#include <QStatusBar>
#include <QTimer>

namespace ql::views {

namespace {

constexpr int kLayoutVersion = 1; // layouts of another version are not restored
const QString kGeometryKey = QStringLiteral("window/geometry");
const QString kLayoutKey = QStringLiteral("window/layout");
const QString kThemeKey = QStringLiteral("theme");
const QString kStudyFilter = QStringLiteral("QuantLoupe (*.qloupe)");

} // namespace

MainWindow::MainWindow(Executor& executor, QWidget* parent)
    : QMainWindow(parent),
      m_jobs(executor),
      m_document(m_jobs),
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
    resize(1600, 950);
    restoreGeometry(QSettings().value(kGeometryKey).toByteArray());
    resetLayout();
    refreshTitle();
    refreshActions();
}

MainWindow::~MainWindow()
{
    // Members outlive this class's part but not the widgets that listen to them.
    disconnect(&m_document, nullptr, this, nullptr);
    disconnect(&m_jobs, nullptr, this, nullptr);
    for (QDockWidget* dock : findChildren<QDockWidget*>())
        delete dock;
    delete takeCentralWidget();
    statusBar()->removeWidget(m_status);
    delete m_status;
}

void MainWindow::buildPanels()
{
    const PanelContext context{m_document, m_jobs};
    setCorner(Qt::BottomLeftCorner, Qt::BottomDockWidgetArea);
    setCorner(Qt::BottomRightCorner, Qt::BottomDockWidgetArea);
    for (const Panel* panel : allPanels()) {
        if (panel->place == PanelPlace::centre) {
            m_stack->addWidget(panel->create(context, m_stack));
            continue;
        }
        auto* dock = new QDockWidget(panelTitle(*panel), this);
        dock->setObjectName(QStringLiteral("dock-%1").arg(QLatin1String(panel->id)));
        dock->setWidget(panel->create(context, dock));
        addDockWidget(Qt::LeftDockWidgetArea, dock);
    }
}

void MainWindow::resetLayout()
{
    QDockWidget* right = nullptr;
    QDockWidget* rightBottom = nullptr;
    QDockWidget* left = nullptr;
    QDockWidget* bottom = nullptr;
    for (const Panel* panel : allPanels()) {
        auto* dock = findChild<QDockWidget*>(QStringLiteral("dock-%1").arg(QLatin1String(panel->id)));
        if (!dock)
            continue;
        dock->setFloating(false);
        dock->setVisible(true);
        switch (panel->place) {
        case PanelPlace::left:
            addDockWidget(Qt::LeftDockWidgetArea, dock);
            left = dock;
            break;
        case PanelPlace::right:
            addDockWidget(Qt::RightDockWidgetArea, dock);
            right = dock;
            break;
        case PanelPlace::rightBottom:
            // Split before there are tabs: splitting takes a dock out of its tabs.
            if (rightBottom) {
                tabifyDockWidget(rightBottom, dock);
            } else {
                addDockWidget(Qt::RightDockWidgetArea, dock);
                if (right)
                    splitDockWidget(right, dock, Qt::Vertical);
                rightBottom = dock;
            }
            break;
        case PanelPlace::bottom:
            addDockWidget(Qt::BottomDockWidgetArea, dock);
            bottom = dock;
            break;
        case PanelPlace::centre:
            break;
        }
    }
    if (rightBottom)
        rightBottom->raise();
    if (left && right)
        resizeDocks({left, right}, {width() * 36 / 100, width() * 27 / 100}, Qt::Horizontal);
    if (right && rightBottom)
        resizeDocks({right, rightBottom}, {height() * 28 / 100, height() * 32 / 100}, Qt::Vertical);
    if (bottom)
        resizeDocks({bottom}, {height() * 30 / 100}, Qt::Vertical);
}

void MainWindow::showEvent(QShowEvent* event)
{
    QMainWindow::showEvent(event);
    if (std::exchange(m_layoutRestored, true))
        return;
    // Dock sizes hold only once the window has its own.
    resetLayout();
    const QByteArray layout = QSettings().value(kLayoutKey).toByteArray();
    if (!layout.isEmpty() && !restoreState(layout, kLayoutVersion))
        resetLayout();
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
        if (!m_recovering.planJson.empty()) {
            if (const auto plan = parsePlan(m_recovering.planJson, *m_document.model())) {
                m_document.adoptPlan(*plan, tr("Recovered plan"));
                Recovery::remove(m_recovering);
            } else {
                report(tr("Recover"), errorText(plan.error()));
            }
            m_recovering = {};
        }
        restoreViewState();
        const QString activations = std::exchange(m_sampleActivations, {});
        if (QFileInfo(activations).absolutePath() == m_document.checkpointPath() && QFileInfo::exists(activations))
            m_document.openActivations(activations);
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
    connect(&m_document, &Document::saved, this, [this](const QString& path) {
        addRecentFile(path);
        statusBar()->showMessage(tr("Saved %1").arg(path), 5000);
        if (const auto then = std::exchange(m_afterSave, {}))
            then();
    });
    connect(m_welcome, &WelcomePage::openFileRequested, this, &MainWindow::openFile);
    connect(m_welcome, &WelcomePage::openFolderRequested, this, &MainWindow::openFolder);
    connect(m_welcome, &WelcomePage::sampleRequested, this, &MainWindow::openSample);
    connect(m_welcome, &WelcomePage::pathRequested, this, &MainWindow::open);
    connect(m_welcome, &WelcomePage::recoverRequested, this, &MainWindow::recover);
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

void MainWindow::takeViewState()
{
    const std::int64_t current = m_document.selection().current();
    if (current >= 0)
        m_document.setViewState("layer", m_document.layer(current).name);
    m_document.setViewState("layout", saveState(kLayoutVersion).toBase64().toStdString());
}

void MainWindow::restoreViewState()
{
    const auto& state = m_document.viewState();
    if (const auto layer = state.find("layer"); layer != state.end()) {
        if (const std::int64_t index = m_document.model()->indexOf(layer->second); index >= 0) {
            m_document.selection().setCurrent(index);
            m_document.selection().setSelected({index});
        }
    }
    if (const auto layout = state.find("layout"); layout != state.end())
        restoreState(QByteArray::fromBase64(QByteArray::fromStdString(layout->second)), kLayoutVersion);
}

void MainWindow::open(const QString& path)
{
    whenSaved([this, path] { m_document.open(QFileInfo(path).absoluteFilePath()); });
}

void MainWindow::openSample()
{
    if (const auto sample = findSample()) {
        open(pathText(*sample));
        m_sampleActivations = pathText(*sample / "activations.npz");
    } else
        m_welcome->setProblem(errorText(sample.error()));
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
    m_recovering = work;
    open(work.study.isEmpty() || !QFileInfo::exists(work.study) ? work.checkpoint : work.study);
}

void MainWindow::exportPlan()
{
    auto* dialog = new ExportDialog(m_document, m_jobs, this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->show();
}

void MainWindow::loadPlan()
{
    const QString path = QFileDialog::getOpenFileName(this, tr("Load a plan"), QString(), tr("Plan (*.json)"));
    if (path.isEmpty())
        return;
    const auto plan = readPlan(toPath(path), *m_document.model());
    if (!plan) {
        report(tr("Loading a plan"), errorText(plan.error()));
        return;
    }
    m_document.adoptPlan(*plan, tr("Load plan %1").arg(QFileInfo(path).fileName()));
}

void MainWindow::savePlan()
{
    const QString path = QFileDialog::getSaveFileName(this, tr("Save the plan as text"), QStringLiteral("plan.json"),
                                                      tr("Plan (*.json)"));
    if (path.isEmpty())
        return;
    if (const auto written = writePlan(m_document.plan(), *m_document.model(), toPath(path)); !written)
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
    QSettings settings;
    settings.setValue(kGeometryKey, saveGeometry());
    settings.setValue(kLayoutKey, saveState(kLayoutVersion));
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
    QTimer::singleShot(0, this, [this, path] { open(path); });
}

} // namespace ql::views
