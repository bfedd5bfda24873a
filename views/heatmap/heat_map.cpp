// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap/heat_map.h"

#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QTextOption>
#include <QToolTip>
#include <QWheelEvent>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr double kDecades = 2;      // of the logarithmic scale: absmax/100 … absmax
constexpr double kGridFrom = 12;    // pixels a cell
constexpr double kNumbersFrom = 44; // pixels a cell
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

void HeatMap::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    const Colors c = colors(palette());
    painter.fillRect(rect(), c.surface);
    const QRect plot = plotRect();
    if (!m_pyramid || m_pyramid->rows <= 0 || m_pyramid->cols <= 0) {
        painter.setPen(c.dim);
        painter.drawText(rect().adjusted(12, 12, -12, -12), Qt::AlignCenter | Qt::TextWordWrap, m_message);
        return;
    }
    const double ratio = devicePixelRatioF();
    const QSize pixels(static_cast<int>(std::lround(plot.width() * ratio)),
                       static_cast<int>(std::lround(plot.height() * ratio)));
    painter.drawImage(plot, m_image.render(m_part, pixels));
    if (plot == rect())
        return; // too small for anything around it
    paintCells(painter, plot);
    paintProfiles(painter, plot);
    paintAxes(painter, plot);
    paintColorBar(painter, plot);
    if (hasFocus()) {
        painter.setPen(QPen(c.accent, 1));
        painter.setBrush(Qt::NoBrush);
        painter.drawRect(plot.adjusted(-1, -1, 0, 0));
    }
}

void HeatMap::paintCells(QPainter& painter, const QRect& plot) const
{
    const double cellW = plot.width() / m_part.w;
    const double cellH = plot.height() / m_part.h;
    const Colors c = colors(palette());
    painter.save();
    painter.setClipRect(plot);
    const auto xOf = [&](double col) { return plot.left() + (col - m_part.x) * cellW; };
    const auto yOf = [&](double row) { return plot.top() + (row - m_part.y) * cellH; };
    if (std::min(cellW, cellH) >= kGridFrom) {
        painter.setPen(QPen(QColor(0, 0, 0, 70), 1));
        for (double col = std::ceil(m_part.x); col < m_part.x + m_part.w; ++col)
            painter.drawLine(QPointF(xOf(col), plot.top()), QPointF(xOf(col), plot.bottom()));
        for (double row = std::ceil(m_part.y); row < m_part.y + m_part.h; ++row)
            painter.drawLine(QPointF(plot.left(), yOf(row)), QPointF(plot.right(), yOf(row)));
    }
    if (cellW >= kNumbersFrom && cellH >= fontMetrics().height() + 2 && !m_pyramid->values.empty()) {
        for (double row = std::floor(m_part.y); row < m_part.y + m_part.h; ++row) {
            for (double col = std::floor(m_part.x); col < m_part.x + m_part.w; ++col) {
                const auto index = static_cast<std::size_t>(row) * static_cast<std::size_t>(m_pyramid->cols) +
                                   static_cast<std::size_t>(col);
                if (index >= m_pyramid->values.size())
                    continue;
                const auto value = static_cast<double>(m_pyramid->values[index]);
                painter.setPen(inkOn(QColor::fromRgb(m_scale.color(std::fabs(value)))));
                painter.drawText(QRectF(xOf(col), yOf(row), cellW, cellH), Qt::AlignCenter, numberText(value, 2));
            }
        }
    }
    if (m_outlier >= 0) {
        const Outlier& outlier = m_outliers[static_cast<std::size_t>(m_outlier)];
        const QPointF centre(xOf(static_cast<double>(outlier.col) + 0.5), yOf(static_cast<double>(outlier.row) + 0.5));
        painter.setRenderHint(QPainter::Antialiasing);
        painter.setBrush(Qt::NoBrush);
        painter.setPen(QPen(Qt::black, 4));
        painter.drawEllipse(centre, 11, 11);
        painter.setPen(QPen(c.warn, 2));
        painter.drawEllipse(centre, 11, 11);
    }
    painter.restore();
}

void HeatMap::paintProfiles(QPainter& painter, const QRect& plot) const
{
    const Colors c = colors(palette());
    const int depth = fontMetrics().height() * 2;
    const QRect top(plot.left(), plot.top() - depth - 2, plot.width(), depth);
    const QRect right(plot.right() + 3, plot.top(), depth, plot.height());
    // The largest of every cell a pixel covers, on the scale of the colours.
    const auto largest = [](const std::vector<float>& values, double from, double to) {
        float found = 0;
        const auto first = static_cast<std::size_t>(std::max(from, 0.0));
        const auto last = std::min(values.size(), std::max(first + 1, static_cast<std::size_t>(std::ceil(to))));
        for (std::size_t i = first; i < last; ++i)
            found = std::max(found, values[i]);
        return static_cast<double>(found);
    };
    // Pictures, not a rectangle per pixel: 2,500 calls would cost more than the map.
    const double stepX = m_part.w / plot.width();
    QImage columns(top.size(), QImage::Format_RGB32);
    columns.fill(c.minorGrid);
    for (int x = 0; x < plot.width(); ++x) {
        const double value = largest(m_pyramid->colMax, m_part.x + x * stepX, m_part.x + (x + 1) * stepX);
        const QRgb color = m_scale.color(value);
        const auto height = static_cast<int>(std::lround(m_scale.position(value) * depth));
        for (int y = depth - height; y < depth; ++y)
            reinterpret_cast<QRgb*>(columns.scanLine(y))[x] = color;
    }
    painter.drawImage(top, columns);
    const double stepY = m_part.h / plot.height();
    QImage rows(right.size(), QImage::Format_RGB32);
    rows.fill(c.minorGrid);
    for (int y = 0; y < plot.height(); ++y) {
        const double value = largest(m_pyramid->rowMax, m_part.y + y * stepY, m_part.y + (y + 1) * stepY);
        auto* line = reinterpret_cast<QRgb*>(rows.scanLine(y));
        std::fill_n(line, std::lround(m_scale.position(value) * depth), m_scale.color(value));
    }
    painter.drawImage(right, rows);
}

void HeatMap::paintAxes(QPainter& painter, const QRect& plot) const
{
    const Colors c = colors(palette());
    painter.setPen(c.dim);
    const int line = fontMetrics().height();
    const auto place = [](double from, double size, int i) { return from + size * i / 4; };
    for (int i = 0; i <= 4; ++i) {
        const int y = plot.top() + plot.height() * i / 4;
        const int x = plot.left() + plot.width() * i / 4;
        const auto row = static_cast<std::int64_t>(std::lround(place(m_part.y, m_part.h, i)));
        const auto col = static_cast<std::int64_t>(std::lround(place(m_part.x, m_part.w, i)));
        painter.drawLine(plot.left() - 4, y, plot.left() - 1, y);
        painter.drawLine(x, plot.bottom() + 1, x, plot.bottom() + 4);
        const int up = i == 0 ? 0 : i == 4 ? line : line / 2;
        painter.drawText(QRect(0, y - up, plot.left() - 6, line), Qt::AlignRight | Qt::AlignVCenter, countText(row));
        const int wide = 90;
        const int shift = i == 0 ? 0 : i == 4 ? wide : wide / 2;
        const Qt::Alignment align = i == 0 ? Qt::AlignLeft : i == 4 ? Qt::AlignRight : Qt::AlignHCenter;
        painter.drawText(QRectF(x - shift, plot.bottom() + 5, wide, line), countText(col),
                         QTextOption(align | Qt::AlignTop));
    }
    painter.drawText(QRect(0, plot.top() - 2 * line - 4, plot.left() - 6, 2 * line), Qt::AlignRight | Qt::AlignBottom,
                     tr("row ↓"));
    painter.drawText(QRect(plot.right() + 8, plot.bottom() + 5, width() - plot.right() - 8, line), Qt::AlignLeft,
                     tr("column →"));
}

void HeatMap::paintColorBar(QPainter& painter, const QRect& plot) const
{
    const Colors c = colors(palette());
    const int line = fontMetrics().height();
    const QRect bar(plot.right() + 3 + line * 2 + 8, plot.top(), line * 3 / 4, plot.height());
    for (int y = 0; y < bar.height(); ++y) {
        const double t = 1 - (y + 0.5) / bar.height();
        painter.fillRect(bar.left(), bar.top() + y, bar.width(), 1, QColor::fromRgb(colorAt(m_scale.map, t)));
    }
    painter.setPen(c.text);
    painter.drawText(QRect(bar.left(), bar.top() - line - 3, width() - bar.left(), line),
                     Qt::AlignLeft | Qt::AlignBottom, tr("|weight|"));
    painter.setPen(c.dim);
    constexpr int kTicks = 4;
    for (int i = 0; i <= kTicks; ++i) {
        const double t = static_cast<double>(i) / kTicks;
        const double value = m_scale.logarithmic ? m_scale.low * std::pow(m_scale.high / m_scale.low, t)
                                                 : m_scale.low + (m_scale.high - m_scale.low) * t;
        const int y = bar.bottom() - static_cast<int>(std::lround(t * (bar.height() - 1)));
        const int up = i == 0 ? line : i == kTicks ? 0 : line / 2;
        painter.drawText(QRect(bar.right() + 6, y - up, width() - bar.right() - 6, line),
                         Qt::AlignLeft | Qt::AlignVCenter, numberText(value));
    }
}

} // namespace ql::views
