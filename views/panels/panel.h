// SPDX-License-Identifier: GPL-3.0-or-later
// A panel: a view in a dock (or the window's centre), made from the document. One line in panels.def and one folder add
// a panel; the window, its View menu and the tests walk the list.
#pragma once

#include <QString>
#include <QWidget>

#include <cstdint>
#include <span>
#include <string_view>

namespace ql::views {

class Document;
class JobRunner;
struct Runs;

enum class PanelPlace { left, centre, right, rightBottom, bottom };

struct PanelContext {
    Document& document;
    JobRunner& jobs;
    Runs& runs;
};

struct Panel {
    const char* id;
    const char* title; // translated in context "Panel"
    PanelPlace place;
    QWidget* (*create)(const PanelContext& context, QWidget* parent);
};

std::span<const Panel* const> allPanels();
QString panelTitle(const Panel& panel);
/// Name of the dock that holds a panel.
QString dockName(std::string_view id);
/// Brings a panel to the front, in the window that the widget is part of.
void raisePanel(const QWidget& from, std::string_view id);

/// A panel that shows the current layer. It works only while it is visible and catches up when it is shown.
class LayerPanel : public QWidget {
    Q_OBJECT
public:
    LayerPanel(const PanelContext& context, QWidget* parent);

protected:
    /// Another layer is current (−1: none), or its model or activations changed.
    virtual void showLayer(std::int64_t layer) = 0;
    /// The current layer's candidate or measurements changed.
    virtual void refreshPlan() {}
    void showEvent(QShowEvent* event) override;
    /// refreshPlan(), now or when the panel is shown.
    void touchPlan();
    std::int64_t shownLayer() const { return m_shown; }

    Document& m_document;
    JobRunner& m_jobs;

private:
    void layerChanged();
    void planTouched(const std::vector<std::int64_t>& layers);
    std::int64_t m_shown = -1;
    bool m_layerStale = true;
    bool m_planStale = false;
};

} // namespace ql::views
