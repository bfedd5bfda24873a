// SPDX-License-Identifier: GPL-3.0-or-later
// A panel by its id, alone in a window or of the sample opened as a document.
#pragma once

#include "tests/support/opened_sample.h"
#include "views/panels/panel.h"

#include <QWidget>

#include <algorithm>
#include <memory>

namespace ql::test {

/// Shown, at that size.
inline std::unique_ptr<QWidget> showPanel(std::string_view id, const views::PanelContext& context, const QSize& size)
{
    const views::Panel& panel = **std::ranges::find(
        views::allPanels(), id, [](const views::Panel* each) { return std::string_view(each->id); });
    std::unique_ptr<QWidget> widget(panel.create(context, nullptr));
    widget->resize(size);
    widget->show();
    return widget;
}

struct OpenedPanel : OpenedSample {
    QSize size;
    std::unique_ptr<QWidget> widget;

    OpenedPanel(std::string_view id, const QSize& shownSize) : size(shownSize), widget(beside(id)) {}
    /// Another panel of the same document.
    std::unique_ptr<QWidget> beside(std::string_view id) { return showPanel(id, {document, jobs, runs}, size); }
    bool activate() const
    {
        widget->activateWindow();
        return QTest::qWaitForWindowActive(widget.get());
    }
};

} // namespace ql::test
