// SPDX-License-Identifier: GPL-3.0-or-later
// The window: wires document, panels, menus and settings together and knows nothing else.
#pragma once

#include "views/document/document.h"
#include "views/document/recovery.h"
#include "views/jobs/job_runner.h"
#include "views/runs/runs.h"
#include "views/theme/theme.h"

#include <QMainWindow>

#include <functional>
#include <vector>

class QActionGroup;
class QDockWidget;
class QMenu;
class QStackedWidget;

namespace ql::views {

class JobStatus;
class WelcomePage;
struct Panel;

class MainWindow : public QMainWindow {
    Q_OBJECT
public:
    explicit MainWindow(Executor& executor, QWidget* parent = nullptr);
    ~MainWindow() override;

    Document& document() { return m_document; }
    JobRunner& jobs() { return m_jobs; }
    Runs& runs() { return m_runs; }
    /// Opens a checkpoint, folder or study, after asking about unsaved work.
    void open(const QString& path);
    void resetLayout();
    void setTheme(ThemeChoice choice);

protected:
    void showEvent(QShowEvent* event) override;
    void closeEvent(QCloseEvent* event) override;
    void dragEnterEvent(QDragEnterEvent* event) override;
    void dropEvent(QDropEvent* event) override;

private:
    // main_window.cpp
    void connectDocument();
    void refreshTitle();
    /// Runs then once unsaved work is saved or given up; not at all if the user cancels.
    void whenSaved(std::function<void()> then);
    bool save();
    bool saveAs();
    void openSample();
    void openSampleActivations();
    void openFile();
    void openFolder();
    void recover(const RecoveredWork& work); // opens what it belongs to first
    void restore(const RecoveredWork& work);
    void offerRecovery();
    void exportPlan();
    void calibrate();
    void validate();
    void transform();
    void showVariant(const std::string& text);
    void loadPlan();
    void savePlan();
    void editCandidates();
    void report(const QString& doing, const QString& problem);

    // main_window_layout.cpp
    void buildPanels();
    void restoreLayout();
    void keepLayout();
    void takeViewState();
    void restoreViewState();
    void focusPanel(int direction);
    QDockWidget* dockOf(const Panel& panel) const; // null for the centre
    void showPanel(const char* id);

    // main_window_menus.cpp
    void buildMenus();
    void buildFileMenu();
    void buildEditMenu();
    void buildModelMenu();
    void buildViewMenu();
    void buildHelpMenu();
    void buildToolBar();
    void fillRecentMenu();
    void fillVariantMenu();
    QAction* add(QMenu* menu, const QString& text, const QKeySequence& key, std::function<void()> run);
    void refreshActions();
    void about();

    JobRunner m_jobs;
    Document m_document;
    Runs m_runs;
    Recovery m_recovery;
    QStackedWidget* m_stack;
    WelcomePage* m_welcome;
    JobStatus* m_status;
    QMenu* m_recentMenu = nullptr;
    QMenu* m_variantMenu = nullptr;
    QAction* m_asStored = nullptr;     // enabled while a variant is shown
    std::vector<QAction*> m_needModel; // enabled while something is open
    std::vector<QAction*> m_tools;     // on the tool bar; null: a separator
    QActionGroup* m_themes = nullptr;
    bool m_layoutRestored = false;
    std::function<void()> m_afterSave;
    RecoveredWork m_recovering;
};

} // namespace ql::views
