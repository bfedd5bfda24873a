// SPDX-License-Identifier: GPL-3.0-or-later
// What of the landscape is pointed at, by mouse and by keys; the painting is in landscape_map_paint.cpp.
#include "views/panels/landscape/landscape_map.h"

#include "views/text/format.h"

#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QToolTip>

#include <algorithm>

namespace ql::views {

LandscapeMap::LandscapeMap(QWidget* parent) : QWidget(parent)
{
    setMouseTracking(true);
    setFocusPolicy(Qt::StrongFocus);
    setAccessibleName(tr("Loss about the weights, in nats per token"));
    setObjectName(QStringLiteral("landscapeMap"));
}

void LandscapeMap::setLandscape(const Landscape* landscape)
{
    const int before = m_landscape ? m_landscape->points() : 0;
    m_landscape = landscape ? std::optional(*landscape) : std::nullopt;
    if (!m_landscape || m_landscape->points() != before) {
        m_cursor.reset();
        m_pointed.reset();
    }
    tell();
    update();
}

void LandscapeMap::setMessage(const QString& text)
{
    m_message = text;
    if (!m_landscape)
        setAccessibleDescription(text);
    update();
}

void LandscapeMap::setPlanDistance(double distance)
{
    m_planDistance = distance;
    update();
}

QRect LandscapeMap::plotRect() const
{
    const int line = fontMetrics().height();
    const int left = 2 * line + fontMetrics().horizontalAdvance(QStringLiteral("−00.0")) + 6;
    const int right = 2 * line + fontMetrics().horizontalAdvance(QStringLiteral("−0.000762")) + 16;
    const QRect room = rect().adjusted(left, line * 3 / 2 + 2, -right, -(2 * line + 10));
    if (room.width() < 40 || room.height() < 40)
        return rect(); // too small for anything around it
    const int side = std::min(room.width(), room.height());
    return {room.left() + (room.width() - side) / 2, room.top() + (room.height() - side) / 2, side, side};
}

QRectF LandscapeMap::cellRect(int a, int b) const
{
    const QRect plot = plotRect();
    const double width = plot.width() / static_cast<double>(m_landscape->points());
    const double height = plot.height() / static_cast<double>(m_landscape->points());
    return {plot.left() + a * width, plot.top() + (m_landscape->points() - 1 - b) * height, width, height};
}

QPointF LandscapeMap::placeOf(double a, double b) const
{
    const int m = m_landscape->middle();
    const QRectF middle = cellRect(m, m);
    const double step = m_landscape->steps[static_cast<std::size_t>(m + 1)];
    return middle.center() + QPointF(a / step * middle.width(), -b / step * middle.height());
}

std::optional<QPoint> LandscapeMap::cellAt(const QPointF& point) const
{
    const QRect plot = plotRect();
    if (!m_landscape || !plot.contains(point.toPoint()))
        return std::nullopt;
    const int n = m_landscape->points();
    const int a = static_cast<int>((point.x() - plot.left()) / plot.width() * n);
    const int row = static_cast<int>((point.y() - plot.top()) / plot.height() * n);
    return QPoint(std::clamp(a, 0, n - 1), n - 1 - std::clamp(row, 0, n - 1));
}

void LandscapeMap::tell()
{
    const std::optional<QPoint> cell = m_pointed ? m_pointed : m_cursor;
    const QString text = m_landscape && cell ? m_landscape->cellText(cell->x(), cell->y()) : QString();
    setAccessibleDescription(m_landscape ? text : m_message);
    Q_EMIT told(text);
}

void LandscapeMap::moveCursor(int a, int b)
{
    const int last = m_landscape->points() - 1;
    m_cursor = QPoint(std::clamp(a, 0, last), std::clamp(b, 0, last));
    m_pointed.reset();
    tell();
    update();
}

void LandscapeMap::mouseMoveEvent(QMouseEvent* event)
{
    m_pointed = cellAt(event->position());
    tell();
}

void LandscapeMap::mousePressEvent(QMouseEvent* event)
{
    if (const auto cell = cellAt(event->position()); cell && event->button() == Qt::LeftButton)
        moveCursor(cell->x(), cell->y());
}

void LandscapeMap::leaveEvent(QEvent*)
{
    m_pointed.reset();
    tell();
}

void LandscapeMap::keyPressEvent(QKeyEvent* event)
{
    if (!m_landscape) {
        QWidget::keyPressEvent(event);
        return;
    }
    const QPoint middle(m_landscape->middle(), m_landscape->middle());
    const QPoint from = m_cursor.value_or(middle);
    switch (event->key()) {
    case Qt::Key_Left:
        moveCursor(from.x() - 1, from.y());
        break;
    case Qt::Key_Right:
        moveCursor(from.x() + 1, from.y());
        break;
    case Qt::Key_Up:
        moveCursor(from.x(), from.y() + 1);
        break;
    case Qt::Key_Down:
        moveCursor(from.x(), from.y() - 1);
        break;
    case Qt::Key_Home:
        moveCursor(middle.x(), middle.y());
        break;
    case Qt::Key_Escape:
        m_cursor.reset();
        m_pointed.reset();
        tell();
        update();
        break;
    default:
        QWidget::keyPressEvent(event);
    }
}

bool LandscapeMap::event(QEvent* event)
{
    if (event->type() != QEvent::ToolTip || !m_landscape)
        return QWidget::event(event);
    const auto* help = static_cast<QHelpEvent*>(event);
    if (const auto cell = cellAt(help->pos()))
        QToolTip::showText(help->globalPos(), m_landscape->cellText(cell->x(), cell->y()), this);
    else
        QToolTip::hideText();
    return true;
}

} // namespace ql::views
