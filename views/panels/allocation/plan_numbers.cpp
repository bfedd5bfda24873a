// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/allocation/plan_numbers.h"

#include "views/theme/theme.h"

#include <QHelpEvent>
#include <QPainter>
#include <QToolTip>

#include <algorithm>
#include <utility>

namespace ql::views {

namespace {
constexpr int kGap = 16;  // pixels between the two
constexpr int kSlack = 2; // widths of texts are rounded
} // namespace

PlanNumbers::PlanNumbers(QWidget* parent) : QWidget(parent)
{
    setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Fixed);
}

void PlanNumbers::setTexts(const QString& size, const QString& loss)
{
    if (size == m_size && loss == m_loss)
        return;
    m_size = size;
    m_loss = loss;
    setAccessibleName(size + QStringLiteral(", ") + loss);
    const int needed = sizeWidth() + kGap + fontMetrics().horizontalAdvance(loss) + kSlack;
    if (needed > std::exchange(m_room, std::max(m_room, needed)))
        updateGeometry();
    update();
}

void PlanNumbers::setWarning(bool isWarning)
{
    if (std::exchange(m_isWarning, isWarning) != isWarning)
        update();
}

void PlanNumbers::setToolTips(const QString& ofSize, const QString& ofLoss)
{
    m_sizeTip = ofSize;
    m_lossTip = ofLoss;
}

void PlanNumbers::forgetRoom()
{
    m_room = 0;
    m_size.clear();
    m_loss.clear();
}

QFont PlanNumbers::bold() const
{
    QFont made = font();
    made.setBold(true);
    return made;
}

int PlanNumbers::sizeWidth() const
{
    return QFontMetrics(bold()).horizontalAdvance(m_size);
}

int PlanNumbers::lineHeight() const
{
    return fontMetrics().height() + 2;
}

QSize PlanNumbers::minimumSizeHint() const
{
    return {std::min(m_room, sizeWidth() + kGap + fontMetrics().horizontalAdvance(QChar(0x2026))), lineHeight()};
}

void PlanNumbers::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    painter.setPen(palette().color(isEnabled() ? QPalette::Active : QPalette::Disabled, QPalette::WindowText));
    painter.setFont(bold());
    painter.drawText(rect(), Qt::AlignLeft | Qt::AlignVCenter, m_size);
    painter.setFont(font());
    if (m_isWarning)
        painter.setPen(colors(palette()).bad);
    const QRect rest = rect().adjusted(sizeWidth() + kGap, 0, 0, 0);
    painter.drawText(rest, Qt::AlignLeft | Qt::AlignVCenter,
                     fontMetrics().elidedText(m_loss, Qt::ElideRight, rest.width()));
}

bool PlanNumbers::event(QEvent* event)
{
    if (event->type() != QEvent::ToolTip)
        return QWidget::event(event);
    const auto* help = static_cast<QHelpEvent*>(event);
    const bool isSize = help->pos().x() < sizeWidth() + kGap / 2;
    const bool isCut = sizeWidth() + kGap + fontMetrics().horizontalAdvance(m_loss) > width();
    QToolTip::showText(help->globalPos(),
                       isSize  ? m_sizeTip
                       : isCut ? m_loss + QStringLiteral("\n") + m_lossTip
                               : m_lossTip,
                       this);
    return true;
}

} // namespace ql::views
