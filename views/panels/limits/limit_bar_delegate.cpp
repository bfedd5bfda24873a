// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/limits/limit_bar_delegate.h"

#include "views/panels/limits/limits_model.h"
#include "views/theme/theme.h"

#include <QPainter>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {
constexpr double kLimitAt = 0.8; // of the width, so that what passes it is seen
} // namespace

void LimitBarDelegate::paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const
{
    const QVariant share = index.data(LimitsModel::kShareRole);
    if (share.isValid() && !option.state.testFlag(QStyle::State_Selected)) {
        const Colors c = colors(option.palette);
        const QRect cell = option.rect.adjusted(2, 3, -2, -3);
        const auto mark = static_cast<int>(kLimitAt * cell.width());
        const auto filled = static_cast<int>(std::lround(std::min(share.toDouble() * kLimitAt, 1.0) * cell.width()));
        QColor within = c.good;
        QColor beyond = c.bad;
        within.setAlpha(90);
        beyond.setAlpha(120);
        painter->fillRect(QRect(cell.left(), cell.top(), std::min(filled, mark), cell.height()), within);
        if (filled > mark)
            painter->fillRect(QRect(cell.left() + mark, cell.top(), filled - mark, cell.height()), beyond);
        painter->fillRect(QRect(cell.left() + mark, cell.top(), 1, cell.height()), c.dim);
    }
    QStyledItemDelegate::paint(painter, option, index);
}

} // namespace ql::views
