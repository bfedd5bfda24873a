// SPDX-License-Identifier: GPL-3.0-or-later
// What part of the matrix is in sight, and moving it; the painting is in heat_map_paint.cpp.
#include "views/heatmap/heat_map.h"

#include "views/text/format.h"

#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QToolTip>
#include <QWheelEvent>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr double kDecades = 2;      // of the logarithmic scale: absmax/100 … absmax
constexpr double kSmallestPart = 4; // cells across at the largest zoom

} // namespace

HeatMap::HeatMap(QWidget* parent) : QWidget(parent)
{
    setMouseTracking(true);
    setFocusPolicy(Qt::StrongFocus);
    setAccessibleName(tr("Outlier map"));
    setMessage(tr("Select a layer with a weight matrix."));
}

void HeatMap::setPyramid(std::shared_ptr<const OutlierPyramid> pyramid)
{
    m_pyramid = std::move(pyramid);
    m_outliers.clear();
    m_outlier = -1;
    m_image.setPyramid(m_pyramid);
    updateScale();
    if (m_pyramid)
        setAccessibleDescription(tr("%1 rows, %2 columns, largest magnitude %3")
                                     .arg(countText(m_pyramid->rows), countText(m_pyramid->cols),
                                          numberText(static_cast<double>(m_pyramid->absmax))));
    fit();
}

void HeatMap::setOutliers(std::vector<Outlier> largest)
{
    m_outliers = std::move(largest);
    m_outlier = -1;
    update();
}

void HeatMap::setMessage(const QString& text)
{
    m_message = text;
    update();
}

void HeatMap::setLogarithmic(bool on)
{
    if (m_scale.logarithmic == on)
        return;
    m_scale.logarithmic = on;
    updateScale();
    update();
    Q_EMIT logarithmicChanged(on);
}

void HeatMap::updateScale()
{
    const double largest = m_pyramid && std::isfinite(m_pyramid->absmax) ? static_cast<double>(m_pyramid->absmax) : 1.0;
    m_scale.high = largest > 0 ? largest : 1;
    m_scale.low = m_scale.logarithmic ? m_scale.high * std::pow(10, -kDecades) : 0;
    m_image.setScale(m_scale);
}

void HeatMap::setPart(const CellRect& part)
{
    if (!m_pyramid)
        return;
    const auto rows = static_cast<double>(m_pyramid->rows);
    const auto cols = static_cast<double>(m_pyramid->cols);
    m_part.w = std::clamp(part.w, std::min(kSmallestPart, cols), cols);
    m_part.h = std::clamp(part.h, std::min(kSmallestPart, rows), rows);
    m_part.x = std::clamp(part.x, 0.0, cols - m_part.w);
    m_part.y = std::clamp(part.y, 0.0, rows - m_part.h);
    update();
}

void HeatMap::fit()
{
    if (m_pyramid)
        m_part = {0, 0, static_cast<double>(m_pyramid->cols), static_cast<double>(m_pyramid->rows)};
    update();
}

void HeatMap::stepOutlier(int direction)
{
    if (m_outliers.empty() || !m_pyramid)
        return;
    const auto count = static_cast<int>(m_outliers.size());
    m_outlier = m_outlier < 0 ? (direction > 0 ? 0 : count - 1) : (m_outlier + direction + count) % count;
    const Outlier& outlier = m_outliers[static_cast<std::size_t>(m_outlier)];
    setPart({static_cast<double>(outlier.col) + 0.5 - m_part.w / 2,
             static_cast<double>(outlier.row) + 0.5 - m_part.h / 2, m_part.w, m_part.h});
    Q_EMIT hovered(outlier.row, outlier.col);
}

QRect HeatMap::plotRect() const
{
    const int line = fontMetrics().height();
    const int left = fontMetrics().horizontalAdvance(QStringLiteral("000000")) + 8;
    const QRect plot =
        rect().adjusted(left, line * 2 + 6,
                        -(line * 3 + 17 + fontMetrics().horizontalAdvance(QStringLiteral("0.000762"))), -(line + 8));
    return plot.width() >= 40 && plot.height() >= 30 ? plot : rect();
}

QPointF HeatMap::cellAt(QPointF point) const
{
    const QRect plot = plotRect();
    return {m_part.x + (point.x() - plot.left()) * m_part.w / plot.width(),
            m_part.y + (point.y() - plot.top()) * m_part.h / plot.height()};
}

QString HeatMap::cellText(std::int64_t row, std::int64_t col) const
{
    const QString place = tr("row %1, column %2").arg(countText(row), countText(col));
    if (!m_pyramid || m_pyramid->values.empty())
        return place;
    const float value = m_pyramid->values[static_cast<std::size_t>(row * m_pyramid->cols + col)];
    return tr("%1: %2").arg(place, numberText(static_cast<double>(value), 6));
}

void HeatMap::zoom(double factor, QPointF anchor)
{
    const QPointF cell = cellAt(anchor);
    const double tx = (cell.x() - m_part.x) / m_part.w;
    const double ty = (cell.y() - m_part.y) / m_part.h;
    const double w = m_part.w / factor;
    const double h = m_part.h / factor;
    setPart({cell.x() - tx * w, cell.y() - ty * h, w, h});
}

void HeatMap::pan(double cellsX, double cellsY)
{
    setPart({m_part.x + cellsX, m_part.y + cellsY, m_part.w, m_part.h});
}

void HeatMap::wheelEvent(QWheelEvent* event)
{
    if (!m_pyramid || event->angleDelta().y() == 0)
        return;
    zoom(std::pow(1.2, event->angleDelta().y() / 120.0), event->position());
    event->accept();
}

void HeatMap::mousePressEvent(QMouseEvent* event)
{
    if (event->button() != Qt::LeftButton || !m_pyramid)
        return;
    m_dragging = true;
    m_dragFrom = event->position();
    m_dragPart = m_part;
}

void HeatMap::mouseMoveEvent(QMouseEvent* event)
{
    if (!m_pyramid)
        return;
    const QRect plot = plotRect();
    if (m_dragging) {
        const QPointF moved = event->position() - m_dragFrom;
        setPart({m_dragPart.x - moved.x() * m_part.w / plot.width(),
                 m_dragPart.y - moved.y() * m_part.h / plot.height(), m_part.w, m_part.h});
        return;
    }
    if (plot.contains(event->position().toPoint())) {
        const QPointF cell = cellAt(event->position());
        Q_EMIT hovered(std::clamp<std::int64_t>(static_cast<std::int64_t>(cell.y()), 0, m_pyramid->rows - 1),
                       std::clamp<std::int64_t>(static_cast<std::int64_t>(cell.x()), 0, m_pyramid->cols - 1));
    } else {
        Q_EMIT hovered(-1, -1);
    }
}

void HeatMap::mouseReleaseEvent(QMouseEvent*)
{
    m_dragging = false;
}

void HeatMap::mouseDoubleClickEvent(QMouseEvent*)
{
    fit();
}

void HeatMap::leaveEvent(QEvent*)
{
    Q_EMIT hovered(-1, -1);
}

void HeatMap::keyPressEvent(QKeyEvent* event)
{
    const QPointF middle = QRectF(plotRect()).center();
    switch (event->key()) {
    case Qt::Key_Left:
        pan(-m_part.w / 10, 0);
        break;
    case Qt::Key_Right:
        pan(m_part.w / 10, 0);
        break;
    case Qt::Key_Up:
        pan(0, -m_part.h / 10);
        break;
    case Qt::Key_Down:
        pan(0, m_part.h / 10);
        break;
    case Qt::Key_Plus:
    case Qt::Key_Equal:
        zoom(1.5, middle);
        break;
    case Qt::Key_Minus:
        zoom(1 / 1.5, middle);
        break;
    case Qt::Key_0:
        fit();
        break;
    case Qt::Key_L:
        setLogarithmic(!m_scale.logarithmic);
        break;
    case Qt::Key_N:
        stepOutlier(event->modifiers().testFlag(Qt::ShiftModifier) ? -1 : 1);
        break;
    default:
        QWidget::keyPressEvent(event);
    }
}

bool HeatMap::event(QEvent* event)
{
    if (event->type() == QEvent::ToolTip && m_pyramid) {
        const auto* help = static_cast<QHelpEvent*>(event);
        const QPointF cell = cellAt(help->pos());
        if (plotRect().contains(help->pos()))
            QToolTip::showText(
                help->globalPos(),
                cellText(std::clamp<std::int64_t>(static_cast<std::int64_t>(cell.y()), 0, m_pyramid->rows - 1),
                         std::clamp<std::int64_t>(static_cast<std::int64_t>(cell.x()), 0, m_pyramid->cols - 1)),
                this);
        else
            QToolTip::hideText();
        return true;
    }
    return QWidget::event(event);
}

} // namespace ql::views
