// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QVBoxLayout>
#include <QWidget>

namespace ql::views {

/// One side of a panel that a splitter divides: a line of controls, what takes the room, and a line below it or null.
inline QWidget* panelSide(QLayout* top, QWidget* middle, QLayout* bottom)
{
    auto* widget = new QWidget;
    auto* column = new QVBoxLayout(widget);
    column->setContentsMargins(8, 4, 8, 4);
    column->setSpacing(4);
    column->addLayout(top);
    column->addWidget(middle, 1);
    if (bottom)
        column->addLayout(bottom);
    return widget;
}

} // namespace ql::views
