// SPDX-License-Identifier: GPL-3.0-or-later
// The map with what stands around it: grid and numbers of cells, profiles, axes, colour bar.
#include "views/heatmap/heat_map.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QPainter>
#include <QTextOption>

#include <algorithm>
#include <cmath>
#include <utility>

namespace ql::views {

namespace {

constexpr double kGridFrom = 12;    // pixels a cell
constexpr double kNumbersFrom = 44; // pixels a cell

} // namespace

void HeatMap::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    const Colors c = colors(palette());
    const QRect plot = plotRect();
    if (!m_pyramid || m_pyramid->rows <= 0 || m_pyramid->cols <= 0) {
        painter.fillRect(rect(), c.surface);
        painter.setPen(c.dim);
        painter.drawText(rect().adjusted(12, 12, -12, -12), Qt::AlignCenter | Qt::TextWordWrap, m_message);
        return;
    }
    const QRegion around = QRegion(rect()) - plot;
    for (const QRect& part : around)
        painter.fillRect(part, c.surface);
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
    const auto largest = [](const FloatArray& values, double from, double to) {
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
    std::int64_t lastRow = -1;
    std::int64_t lastCol = -1;
    for (int i = 0; i <= 4; ++i) {
        const int y = plot.top() + plot.height() * i / 4;
        const int x = plot.left() + plot.width() * i / 4;
        const auto row = static_cast<std::int64_t>(std::lround(place(m_part.y, m_part.h, i)));
        const auto col = static_cast<std::int64_t>(std::lround(place(m_part.x, m_part.w, i)));
        // A few rows or columns have fewer edges than there are places for labels.
        if (std::exchange(lastRow, row) != row) {
            const int up = i == 0 ? 0 : i == 4 ? line : line / 2;
            painter.drawLine(plot.left() - 4, y, plot.left() - 1, y);
            painter.drawText(QRect(0, y - up, plot.left() - 6, line), Qt::AlignRight | Qt::AlignVCenter,
                             countText(row));
        }
        if (std::exchange(lastCol, col) != col) {
            const int wide = 90;
            const int shift = i == 0 ? 0 : i == 4 ? wide : wide / 2;
            const Qt::Alignment align = i == 0 ? Qt::AlignLeft : i == 4 ? Qt::AlignRight : Qt::AlignHCenter;
            painter.drawLine(x, plot.bottom() + 1, x, plot.bottom() + 4);
            painter.drawText(QRectF(x - shift, plot.bottom() + 5, wide, line), countText(col),
                             QTextOption(align | Qt::AlignTop));
        }
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
