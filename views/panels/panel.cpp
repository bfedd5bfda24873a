// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/panel.h"

#include "views/document/document.h"

#include <QCoreApplication>
#include <QDockWidget>

#include <algorithm>

namespace ql::views {

namespace panels {
#define PANEL(id) extern const Panel id;
#include "views/panels/panels.def"
#undef PANEL
} // namespace panels

std::span<const Panel* const> allPanels()
{
    static constexpr const Panel* kAll[] = {
#define PANEL(id) &panels::id,
#include "views/panels/panels.def"
#undef PANEL
    };
    return kAll;
}

QString panelTitle(const Panel& panel)
{
    return QCoreApplication::translate("Panel", panel.title);
}

QString dockName(std::string_view id)
{
    return QStringLiteral("dock-%1").arg(QLatin1String(id.data(), static_cast<qsizetype>(id.size())));
}

void raisePanel(const QWidget& from, std::string_view id)
{
    const QWidget* window = from.window();
    while (window->parentWidget()) // of a dock that floats
        window = window->parentWidget()->window();
    auto* dock = window->findChild<QDockWidget*>(dockName(id));
    if (!dock)
        return;
    dock->show();
    dock->raise();
    if (dock->widget())
        dock->widget()->setFocus();
}

LayerPanel::LayerPanel(const PanelContext& context, QWidget* parent)
    : QWidget(parent), m_document(context.document), m_jobs(context.jobs)
{
    connect(&m_document.selection(), &SelectionModel::currentChanged, this, &LayerPanel::layerChanged);
    connect(&m_document, &Document::modelChanged, this, &LayerPanel::layerChanged);
    connect(&m_document, &Document::activationsChanged, this, &LayerPanel::layerChanged);
    connect(&m_document, &Document::planChanged, this, &LayerPanel::planTouched);
    connect(&m_document, &Document::factsChanged, this, &LayerPanel::planTouched);
    connect(&m_document, &Document::tableChanged, this, &LayerPanel::touchPlan);
    connect(&m_document, &Document::settingsChanged, this, &LayerPanel::touchPlan);
}

void LayerPanel::touchPlan()
{
    planTouched({m_document.selection().current()});
}

void LayerPanel::layerChanged()
{
    m_layerStale = true;
    if (!isVisible())
        return;
    m_layerStale = false;
    m_planStale = false;
    m_shown = m_document.isOpen() ? m_document.selection().current() : -1;
    showLayer(m_shown);
}

void LayerPanel::planTouched(const std::vector<std::int64_t>& layers)
{
    if (m_layerStale || m_shown < 0 || std::find(layers.begin(), layers.end(), m_shown) == layers.end())
        return;
    m_planStale = true;
    if (!isVisible())
        return;
    m_planStale = false;
    refreshPlan();
}

void LayerPanel::showEvent(QShowEvent* event)
{
    QWidget::showEvent(event);
    if (m_layerStale) {
        layerChanged();
    } else if (m_planStale) {
        m_planStale = false;
        refreshPlan();
    }
}

} // namespace ql::views
