// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/theme/problem_color.h"

#include "views/theme/theme.h"

namespace ql::views {

void setProblemColor(QWidget& text, bool isProblem)
{
    QPalette p = text.parentWidget() ? text.parentWidget()->palette() : QPalette();
    if (isProblem)
        p.setColor(QPalette::WindowText, colors(p).bad);
    text.setPalette(p);
}

} // namespace ql::views
