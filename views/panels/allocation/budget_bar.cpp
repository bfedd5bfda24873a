// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/allocation/budget_bar.h"

#include "views/theme/theme.h"

#include <QPainter>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {
constexpr double kBudgetAt = 0.75; // of the width: room to show how far over
constexpr int kMarkHeight = 5;
} // namespace

BudgetBar::BudgetBar(QWidget* parent) : QWidget(parent)
{
    setAccessibleName(tr("Budget"));
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

QSize BudgetBar::sizeHint() const
{
    return {220, fontMetrics().height() + 8};
}

void BudgetBar::setState(double used, double budget, const QString& text)
{
    m_used = used;
    m_budget = budget;
    if (text != m_text)
        setAccessibleDescription(text);
    m_text = text;
    update();
}

void BudgetBar::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    const Colors c = colors(palette());
    painter.fillRect(rect(), c.surface);
    if (m_budget > 0) {
        const double scale = kBudgetAt * width() / m_budget;
        const auto filled = static_cast<int>(std::lround(std::min(m_used * scale, static_cast<double>(width()))));
        const auto mark = static_cast<int>(kBudgetAt * width());
        QColor within = c.good;
        QColor beyond = c.bad;
        within.setAlpha(90);
        beyond.setAlpha(120);
        painter.fillRect(QRect(0, 0, std::min(filled, mark), height()), within);
        if (filled > mark)
            painter.fillRect(QRect(mark, 0, filled - mark, height()), beyond);
        for (const int top : {0, height() - kMarkHeight}) // the text stands between
            painter.fillRect(QRect(mark, top, 2, kMarkHeight), c.text);
    }
    painter.setPen(c.grid);
    painter.drawRect(rect().adjusted(0, 0, -1, -1));
    painter.setPen(c.text);
    painter.drawText(rect().adjusted(6, 0, -6, 0), Qt::AlignLeft | Qt::AlignVCenter,
                     fontMetrics().elidedText(m_text, Qt::ElideRight, width() - 12));
}

} // namespace ql::views
