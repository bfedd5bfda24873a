// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/drawn_panel.h"

#include <utility>

namespace ql::views {

void DrawnPanel::touch()
{
    m_stale = !isVisible();
    if (!m_stale)
        draw();
}

void DrawnPanel::showEvent(QShowEvent* event)
{
    QWidget::showEvent(event);
    if (std::exchange(m_stale, false))
        draw();
}

} // namespace ql::views
