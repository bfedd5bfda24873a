// SPDX-License-Identifier: GPL-3.0-or-later
// Where the docks are: at first, after Reset layout, as the user left them, as a study remembers them.
#include "app/main_window.h"
#include "views/panels/panel.h"
#include "views/text/format.h"

#include <QDockWidget>
#include <QScreen>
#include <QSettings>
#include <QStackedWidget>

#include <algorithm>
#include <map>
#include <string_view>

namespace ql::views {

namespace {

constexpr int kLayoutVersion = 3; // layouts of another version are not restored
const QString kGeometryKey = QStringLiteral("window/geometry");
const QString kLayoutKey = QStringLiteral("window/layout");

} // namespace

void MainWindow::buildPanels()
{
    const PanelContext context{m_document, m_jobs, m_runs};
    setCorner(Qt::BottomLeftCorner, Qt::BottomDockWidgetArea);
    setCorner(Qt::BottomRightCorner, Qt::BottomDockWidgetArea);
    for (const Panel* panel : allPanels()) {
        if (panel->place == PanelPlace::centre) {
            m_stack->addWidget(panel->create(context, m_stack));
            continue;
        }
        auto* dock = new QDockWidget(panelTitle(*panel), this);
        dock->setObjectName(dockName(panel->id));
        dock->setWidget(panel->create(context, dock));
        addDockWidget(Qt::LeftDockWidgetArea, dock);
    }
}

void MainWindow::restoreLayout()
{
    resize(QSize(1600, 950).boundedTo(screen()->availableSize()));
    restoreGeometry(QSettings().value(kGeometryKey).toByteArray());
    resetLayout();
}

void MainWindow::resetLayout()
{
    // Tabs that a dock is taken out of would stand beside it for a moment and make the window wider.
    for (QDockWidget* dock : findChildren<QDockWidget*>())
        removeDockWidget(dock);
    std::map<PanelPlace, QDockWidget*> first; // of each place; later ones are tabs beside it
    for (const Panel* panel : allPanels()) {
        auto* dock = dockOf(*panel);
        if (!dock)
            continue;
        dock->setFloating(false);
        dock->setVisible(true);
        const auto [known, isFirst] = first.try_emplace(panel->place, dock);
        if (!isFirst) {
            tabifyDockWidget(known->second, dock);
            continue;
        }
        switch (panel->place) {
        case PanelPlace::left:
            addDockWidget(Qt::LeftDockWidgetArea, dock);
            break;
        case PanelPlace::right:
            addDockWidget(Qt::RightDockWidgetArea, dock);
            break;
        case PanelPlace::rightBottom:
            // Split before there are tabs: splitting takes a dock out of its tabs.
            addDockWidget(Qt::RightDockWidgetArea, dock);
            if (first.contains(PanelPlace::right))
                splitDockWidget(first[PanelPlace::right], dock, Qt::Vertical);
            break;
        case PanelPlace::bottom:
            addDockWidget(Qt::BottomDockWidgetArea, dock);
            break;
        case PanelPlace::centre:
            break;
        }
    }
    for (const auto& [place, dock] : first)
        dock->raise();
    resizeDocks({first[PanelPlace::left], first[PanelPlace::right]}, {width() * 36 / 100, width() * 27 / 100},
                Qt::Horizontal);
    resizeDocks({first[PanelPlace::right], first[PanelPlace::rightBottom]}, {height() * 24 / 100, height() * 36 / 100},
                Qt::Vertical);
    resizeDocks({first[PanelPlace::bottom]}, {height() * 30 / 100}, Qt::Vertical);
}

QDockWidget* MainWindow::dockOf(const Panel& panel) const
{
    return findChild<QDockWidget*>(dockName(panel.id));
}

void MainWindow::showPanel(const char* id)
{
    if (auto* dock = findChild<QDockWidget*>(dockName(id))) {
        dock->show();
        dock->raise();
    }
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

void MainWindow::focusPanel(int direction)
{
    std::vector<std::pair<PanelPlace, QWidget*>> panels; // in the order of reading
    for (const Panel* panel : allPanels()) {
        if (panel->place == PanelPlace::centre)
            panels.emplace_back(panel->place, m_stack);
        else if (auto* dock = dockOf(*panel); dock->toggleViewAction()->isChecked())
            panels.emplace_back(panel->place, dock->widget());
    }
    std::stable_sort(panels.begin(), panels.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    const QWidget* focused = focusWidget();
    const auto now = std::find_if(panels.begin(), panels.end(),
                                  [&](const auto& panel) { return focused && panel.second->isAncestorOf(focused); });
    const auto count = static_cast<std::ptrdiff_t>(panels.size());
    const std::ptrdiff_t next =
        now == panels.end() ? (direction > 0 ? 0 : count - 1) : (now - panels.begin() + direction + count) % count;
    QWidget* panel = panels[static_cast<std::size_t>(next)].second;
    if (auto* dock = qobject_cast<QDockWidget*>(panel->parentWidget()))
        dock->raise(); // it may be behind another tab
    (panel == m_stack ? m_stack->currentWidget() : panel)->setFocus(Qt::ShortcutFocusReason);
}

void MainWindow::keepLayout()
{
    QSettings settings;
    settings.setValue(kGeometryKey, saveGeometry());
    settings.setValue(kLayoutKey, saveState(kLayoutVersion));
}

} // namespace ql::views
