// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/main_window.h"
#include "views/dialogs/losses_dialog.h"
#include "views/dialogs/shortcuts_dialog.h"
#include "views/document/activations_file.h"
#include "views/document/recent_files.h"
#include "views/jobs/job_status.h"

#include <QActionGroup>
#include <QApplication>
#include <QDockWidget>
#include <QFileDialog>
#include <QFileInfo>
#include <QMenu>
#include <QMenuBar>
#include <QMessageBox>
#include <QSettings>
#include <QToolBar>

namespace ql::views {

QAction* MainWindow::add(QMenu* menu, const QString& text, const QKeySequence& key, std::function<void()> run)
{
    QAction* action = menu->addAction(text);
    action->setShortcut(key);
    connect(action, &QAction::triggered, this, [run = std::move(run)] { run(); });
    return action;
}

void MainWindow::buildMenus()
{
    buildFileMenu();
    buildEditMenu();
    buildModelMenu();
    buildViewMenu();
    buildHelpMenu();
    buildToolBar();
}

void MainWindow::buildToolBar()
{
    QToolBar* bar = addToolBar(tr("Tools"));
    bar->setObjectName(QStringLiteral("tools"));
    bar->setMovable(false);
    bar->setToolButtonStyle(Qt::ToolButtonTextOnly);
    for (QAction* action : m_tools) {
        if (action)
            bar->addAction(action);
        else
            bar->addSeparator();
    }
}

void MainWindow::buildFileMenu()
{
    QMenu* menu = menuBar()->addMenu(tr("&File"));
    m_tools.push_back(add(menu, tr("&Open…"), QKeySequence::Open, [this] { openFile(); }));
    add(menu, tr("Open &folder…"), QKeySequence(tr("Ctrl+Shift+O")), [this] { openFolder(); });
    m_recentMenu = menu->addMenu(tr("Open &recent"));
    connect(m_recentMenu, &QMenu::aboutToShow, this, &MainWindow::fillRecentMenu);
    add(menu, tr("Open the sa&mple"), {}, [this] { openSample(); });
    m_needModel.push_back(add(menu, tr("Re&load"), QKeySequence::Refresh, [this] {
        open(m_document.studyPath().isEmpty() ? m_document.checkpointPath() : m_document.studyPath());
    }));
    m_needModel.push_back(add(menu, tr("Load acti&vations…"), {}, [this] {
        const QString path = QFileDialog::getOpenFileName(this, tr("Load activations"), QString(), activationsFilter());
        if (!path.isEmpty())
            m_document.openActivations(path);
    }));
    menu->addSeparator();
    QAction* save = add(menu, tr("&Save study"), QKeySequence::Save, [this] { this->save(); });
    m_needModel.push_back(save);
    m_needModel.push_back(add(menu, tr("Save study &as…"), QKeySequence::SaveAs, [this] { saveAs(); }));
    m_needModel.push_back(add(menu, tr("Load &plan…"), {}, [this] { loadPlan(); }));
    m_needModel.push_back(add(menu, tr("Save plan as &text…"), {}, [this] { savePlan(); }));
    menu->addSeparator();
    QAction* exportAction = add(menu, tr("&Export…"), QKeySequence(tr("Ctrl+E")), [this] { exportPlan(); });
    m_needModel.push_back(exportAction);
    m_tools.insert(m_tools.end(), {save, exportAction});
    menu->addSeparator();
    m_needModel.push_back(
        add(menu, tr("&Close"), QKeySequence::Close, [this] { whenSaved([this] { m_document.close(); }); }));
    add(menu, tr("&Quit"), QKeySequence::Quit, [this] { close(); });
}

void MainWindow::fillRecentMenu()
{
    m_recentMenu->clear();
    for (const QString& path : recentFiles()) {
        QAction* action = m_recentMenu->addAction(QString(path).replace(QLatin1Char('&'), QStringLiteral("&&")));
        action->setEnabled(QFileInfo::exists(path));
        connect(action, &QAction::triggered, this, [this, path] { open(path); });
    }
    m_recentMenu->addSeparator();
    QAction* clear = m_recentMenu->addAction(tr("Clear this list"));
    connect(clear, &QAction::triggered, this, [] { clearRecentFiles(); });
}

void MainWindow::buildEditMenu()
{
    QMenu* menu = menuBar()->addMenu(tr("&Plan"));
    QAction* undo = m_document.undoStack().createUndoAction(this, tr("&Undo"));
    undo->setShortcut(QKeySequence::Undo);
    menu->addAction(undo);
    QAction* redo = m_document.undoStack().createRedoAction(this, tr("&Redo"));
    redo->setShortcuts({QKeySequence(tr("Ctrl+Shift+Z")), QKeySequence(tr("Ctrl+Y"))}); // on every desktop
    menu->addAction(redo);
    undo->setIconText(tr("Undo")); // on the tool bar, whatever the step
    redo->setIconText(tr("Redo"));
    m_tools.insert(m_tools.end(), {nullptr, undo, redo});
    menu->addSeparator();
    m_needModel.push_back(add(menu, tr("&Candidates…"), {}, [this] { editCandidates(); }));
    m_needModel.push_back(add(menu, tr("&Keep everything as stored"), {}, [this] {
        Plan plan = keepPlan(*m_document.model());
        plan.locked = m_document.plan().locked;
        for (const std::int64_t layer : m_document.planLayers()) {
            if (m_document.isLocked(layer))
                plan.candidates[static_cast<std::size_t>(layer)] = m_document.candidate(layer);
        }
        m_document.adoptPlan(plan, tr("Keep everything as stored"));
    }));
    m_needModel.push_back(
        add(menu, tr("Un&lock all"), {}, [this] { m_document.setLocked(m_document.planLayers(), false); }));
}

void MainWindow::buildModelMenu()
{
    QMenu* menu = menuBar()->addMenu(tr("&Model"));
    QAction* calibrate = add(menu, tr("&Calibrate…"), QKeySequence(tr("Ctrl+K")), [this] { this->calibrate(); });
    QAction* losses = add(menu, tr("&Measure losses…"), QKeySequence(tr("Ctrl+L")),
                          [this] { measureLosses(m_document, m_jobs, m_runs, this); });
    QAction* validate = add(menu, tr("&Validate…"), QKeySequence(tr("Ctrl+T")), [this] { this->validate(); });
    menu->addSeparator();
    QAction* transform = add(menu, tr("&Transform…"), QKeySequence(tr("Ctrl+Shift+T")), [this] { this->transform(); });
    m_asStored = add(menu, tr("&As stored"), {}, [this] { showVariant({}); });
    m_variantMenu = menu->addMenu(tr("Va&riants"));
    connect(m_variantMenu, &QMenu::aboutToShow, this, &MainWindow::fillVariantMenu);
    for (QAction* action : {calibrate, losses, validate, transform, m_variantMenu->menuAction()})
        m_needModel.push_back(action);
    transform->setToolTip(tr("Rewrite the model exactly, so that it can be quantized better"));
    calibrate->setToolTip(tr("Run the model on text, pictures or arrays and keep what its layers see"));
    losses->setToolTip(tr("What each candidate of each layer costs, from gradients and by running it, with standard "
                          "errors"));
    validate->setToolTip(tr("Run the plan beside the model: perplexity and KLD, or how far its outputs move"));
    m_tools.insert(m_tools.end(), {nullptr, calibrate, validate});
}

void MainWindow::fillVariantMenu()
{
    m_variantMenu->clear();
    for (const std::string& text : m_document.variants()) {
        QAction* action = m_variantMenu->addAction(text.empty() ? tr("As stored") : QString::fromStdString(text));
        action->setCheckable(true);
        action->setChecked(text == m_document.variantText());
        connect(action, &QAction::triggered, this, [this, text] {
            if (text != m_document.variantText())
                showVariant(text);
        });
    }
}

void MainWindow::buildViewMenu()
{
    QMenu* menu = menuBar()->addMenu(tr("&View"));
    int number = 1;
    for (QDockWidget* dock : findChildren<QDockWidget*>()) {
        QAction* toggle = dock->toggleViewAction();
        if (number <= 10) // as the digits lie: 1 … 9, 0
            toggle->setShortcut(QKeySequence(QStringLiteral("Alt+%1").arg(number++ % 10)));
        menu->addAction(toggle);
    }
    menu->addSeparator();
    add(menu, tr("&Next panel"), QKeySequence(Qt::Key_F6), [this] { focusPanel(1); });
    add(menu, tr("Pre&vious panel"), QKeySequence(Qt::SHIFT | Qt::Key_F6), [this] { focusPanel(-1); });
    add(menu, tr("&Reset layout"), {}, [this] { resetLayout(); });
    QAction* full = add(menu, tr("&Full screen"), QKeySequence::FullScreen,
                        [this] { setWindowState(windowState() ^ Qt::WindowFullScreen); });
    if (full->shortcut().isEmpty())
        full->setShortcut(QKeySequence(Qt::Key_F11));
    QMenu* themes = menu->addMenu(tr("&Theme"));
    m_themes = new QActionGroup(this);
    const std::pair<QString, ThemeChoice> choices[] = {
        {tr("&System"), ThemeChoice::system}, {tr("&Light"), ThemeChoice::light}, {tr("&Dark"), ThemeChoice::dark}};
    const ThemeChoice current = themeFromWord(QSettings().value(QStringLiteral("theme")).toString());
    for (const auto& [text, choice] : choices) {
        QAction* action = themes->addAction(text);
        action->setCheckable(true);
        action->setChecked(choice == current);
        m_themes->addAction(action);
        connect(action, &QAction::triggered, this, [this, choice = choice] { setTheme(choice); });
    }
    menu->addSeparator();
    add(menu, tr("&Problems"), {}, [this] { m_status->showProblems(); });
}

void MainWindow::buildHelpMenu()
{
    QMenu* menu = menuBar()->addMenu(tr("&Help"));
    add(menu, tr("&Keyboard shortcuts"), QKeySequence(tr("Ctrl+/")), [this] {
        auto* sheet = new ShortcutsDialog(*this, this);
        sheet->setAttribute(Qt::WA_DeleteOnClose);
        sheet->show();
    });
    add(menu, tr("&About QuantLoupe"), {}, [this] { about(); });
    add(menu, tr("About &Qt"), {}, [] { QApplication::aboutQt(); });
}

void MainWindow::about()
{
    QMessageBox::about(this, tr("About QuantLoupe"),
                       tr("<h3>QuantLoupe %1</h3><p>A workbench for neural-network quantization.</p>"
                          "<p>Free software under the GNU General Public License, version 3 or later. It comes with no "
                          "warranty.</p>")
                           .arg(QApplication::applicationVersion()));
}

void MainWindow::refreshActions()
{
    for (QAction* action : m_needModel)
        action->setEnabled(m_document.isOpen());
    m_asStored->setEnabled(m_document.variant() != nullptr);
}

} // namespace ql::views
