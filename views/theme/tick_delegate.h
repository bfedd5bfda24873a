// SPDX-License-Identifier: GPL-3.0-or-later
// Entries of lists with boxes to tick. Fusion draws the boxes in a darker shade of the window, which is not to be seen
// in the dark theme.
#pragma once

#include "views/theme/theme.h"

#include <QStyledItemDelegate>

namespace ql::views {

class TickDelegate : public QStyledItemDelegate {
public:
    using QStyledItemDelegate::QStyledItemDelegate;

protected:
    void initStyleOption(QStyleOptionViewItem* option, const QModelIndex& index) const override
    {
        QStyledItemDelegate::initStyleOption(option, index);
        if (const Colors c = colors(option->palette); c.dark)
            option->palette.setColor(QPalette::Window, c.dim);
    }
};

} // namespace ql::views
