// SPDX-License-Identifier: GPL-3.0-or-later
// How much of a limit is used: a bar behind the text, as long as LimitsModel::kShareRole says, that stops at the mark
// of the limit or, in the colour of problems, goes beyond it.
#pragma once

#include <QStyledItemDelegate>

namespace ql::views {

class LimitBarDelegate : public QStyledItemDelegate {
public:
    using QStyledItemDelegate::QStyledItemDelegate;
    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
};

} // namespace ql::views
