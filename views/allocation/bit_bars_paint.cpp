// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/allocation/bit_bars.h"
#include "views/text/format.h"
#include "views/theme/color_map.h"
#include "views/theme/theme.h"

#include <QPaintEvent>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr double kDigitFrom = 14; // pixels a column

void drawLock(QPainter& painter, const QPointF& centre, const QColor& ink)
{
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setPen(QPen(ink, 1.4));
    painter.setBrush(Qt::NoBrush);
    painter.drawArc(QRectF(centre.x() - 2.5, centre.y() - 6, 5, 7), 0, 180 * 16);
    painter.setPen(Qt::NoPen);
    painter.setBrush(ink);
    painter.drawRoundedRect(QRectF(centre.x() - 4, centre.y() - 2, 8, 6), 1, 1);
    painter.restore();
}

} // namespace

void BitBars::paintEvent(QPaintEvent* event)
{
    QPainter painter(this);
    const Colors c = colors(palette());
    const QRect dirty = event->rect();
    painter.fillRect(dirty, c.surface);
    if (m_bars.empty()) {
        painter.setPen(c.dim);
        painter.drawText(rect().adjusted(12, 4, -12, -4), Qt::AlignCenter | Qt::TextWordWrap, m_message);
        return;
    }
    if (plotRect().isEmpty())
        return;
    paintBackground(painter, dirty);
    // What a drag changes of the overview is far from the bars: one rectangle around both would be half the widget.
    const QRect overview = overviewRect();
    paintBars(painter, (event->region() & QRect(0, 0, width(), overview.top())).boundingRect());
    paintOverview(painter, (event->region() & overview).boundingRect());
    if (m_drag == Drag::band) {
        painter.setPen(QPen(c.accent, 1, Qt::DashLine));
        painter.setBrush(QColor(c.accent.red(), c.accent.green(), c.accent.blue(), 40));
        painter.drawRect(m_band.adjusted(0, 0, -1, -1));
    }
    if (!m_tag.isEmpty())
        paintTag(painter);
}

void BitBars::paintTag(QPainter& painter) const
{
    painter.fillRect(m_tag, palette().toolTipBase());
    painter.setPen(colors(palette()).dim);
    painter.setBrush(Qt::NoBrush);
    painter.drawRect(m_tag.adjusted(0, 0, -1, -1));
    painter.setPen(palette().color(QPalette::ToolTipText));
    painter.drawText(m_tag, Qt::AlignCenter, m_tagText);
}

void BitBars::paintBackground(QPainter& painter, const QRect& dirty) const
{
    const Colors c = colors(palette());
    const QRect plot = plotRect();
    const int line = m_line;
    const bool named = dirty.left() < plot.left();
    painter.setPen(c.dim);
    if (named)
        painter.drawText(QRect(0, 0, plot.left() - 2, line + 4), Qt::AlignRight | Qt::AlignVCenter, tr("bits"));
    std::vector<int> labels; // the important ones first; the others where there is room
    for (const int bits : {16, 8, 4, 2, 12, 6, 14, 10, 3, 5}) {
        if (bits > m_axisMax)
            continue;
        const int y = yOfBits(bits);
        painter.setPen(c.grid);
        painter.drawLine(plot.left(), y, plot.right(), y);
        if (!named || std::any_of(labels.begin(), labels.end(), [&](int other) { return std::abs(other - y) < line; }))
            continue;
        labels.push_back(y);
        painter.setPen(c.dim);
        painter.drawText(QRect(0, y - line / 2, plot.left() - 6, line), Qt::AlignRight | Qt::AlignVCenter,
                         QString::number(bits));
    }
}

void BitBars::paintBars(QPainter& painter, const QRect& dirty) const
{
    if (dirty.isEmpty())
        return;
    const Colors c = colors(palette());
    const QRect plot = plotRect();
    const int first = m_axis.barAt(std::max(dirty.left(), plot.left()));
    const int last = m_axis.barAt(std::min(dirty.right(), plot.right()));
    painter.save();
    painter.setClipRect(QRect(plot.left(), 0, plot.width(), sensitivityRect().bottom() + 1));
    paintBlocks(painter, first, last, dirty.top() < m_line + 4);
    for (int i = first; i <= last; ++i)
        paintBar(painter, i, c);
    painter.restore();
    if (dirty.left() < plot.left()) {
        painter.setPen(c.dim);
        painter.drawText(QRect(0, sensitivityRect().top() - m_line / 4, plot.left() - 6, m_line), Qt::AlignRight,
                         QStringLiteral("Δ"));
    }
}

/// A number above each block and a line where a new one begins.
void BitBars::paintBlocks(QPainter& painter, int first, int last, bool named) const
{
    const Colors c = colors(palette());
    const QRect plot = plotRect();
    int from = first;
    while (from > 0 && m_bars[static_cast<std::size_t>(from)].block == m_bars[static_cast<std::size_t>(from - 1)].block)
        --from;
    for (int i = from; i <= last;) {
        const qint64 block = m_bars[static_cast<std::size_t>(i)].block;
        int end = i;
        while (end < static_cast<int>(m_bars.size()) && m_bars[static_cast<std::size_t>(end)].block == block)
            ++end;
        const int left = columnRect(i).left();
        const int right = columnRect(end - 1).right();
        if (i > 0) {
            painter.setPen(c.grid);
            painter.drawLine(left, plot.top() - m_line - 2, left, plot.bottom());
        }
        if (block >= 0 && named) {
            painter.setPen(c.dim);
            const QString label = right - left > m_blockWidth + 4 ? tr("block %1").arg(block) : QString::number(block);
            if (right - left >= fontMetrics().horizontalAdvance(label) + 2)
                painter.drawText(QRect(left, 0, right - left, m_line + 4), Qt::AlignCenter, label);
        }
        i = end;
    }
}

void BitBars::paintBar(QPainter& painter, int bar, const Colors& c) const
{
    const QRect column = columnRect(bar);
    const auto i = static_cast<std::size_t>(bar);
    const Bar& b = m_bars[i];
    const QRect plot = plotRect();
    const double bits = bitsOf(bar, b.level);
    const int gap = column.width() >= 6 ? 1 : 0;
    const int top = yOfBits(bits);
    const QRect fill(column.left() + gap, top, column.width() - 2 * gap, plot.bottom() + 1 - top);
    if (m_selected[i])
        painter.fillRect(column, QColor(c.accent.red(), c.accent.green(), c.accent.blue(), c.dark ? 70 : 45));
    const QColor color = bitsColor(bits);
    painter.fillRect(fill, color);
    if (bits > m_axisMax) { // cut off: an arrow says so
        painter.setPen(inkOn(color));
        painter.drawLine(fill.center().x() - 2, fill.top() + 4, fill.center().x(), fill.top() + 1);
        painter.drawLine(fill.center().x() + 2, fill.top() + 4, fill.center().x(), fill.top() + 1);
    }
    if (column.width() >= kDigitFrom && fill.height() > m_line) {
        painter.setPen(inkOn(color));
        const bool whole = std::fabs(bits - std::round(bits)) < 0.05;
        QString digits =
            whole || column.width() < 30 ? QString::number(static_cast<int>(bits + 0.05)) : fixedText(bits, 1);
        const int below = bits > m_axisMax ? 6 : 1; // the arrow
        painter.drawText(QRect(fill.left(), fill.top() + below, fill.width(), m_line), Qt::AlignCenter, digits);
    }
    if (i < m_before.size() && m_before[i] != b.level && m_before[i] >= 0) {
        const int y = yOfBits(m_levels[static_cast<std::size_t>(m_before[i])].bits);
        painter.fillRect(QRect(column.left(), y - 1, column.width(), 2), c.ghost);
    }
    if (i < m_preview.size() && m_preview[i] >= 0 && m_preview[i] != b.level) {
        const double proposed = m_levels[static_cast<std::size_t>(m_preview[i])].bits;
        const int y = yOfBits(proposed);
        const int base = std::max(y, top);
        // What would go is hatched, what would come is hollow.
        if (proposed < bits)
            painter.fillRect(QRect(fill.left(), top, fill.width(), y - top), QBrush(c.surface, Qt::Dense4Pattern));
        painter.setPen(QPen(c.warn, 1));
        painter.setBrush(Qt::NoBrush);
        painter.drawRect(QRect(fill.left(), y, std::max(1, fill.width() - 1), std::max(1, base - y)));
        painter.fillRect(QRect(fill.left(), y - 1, fill.width(), 2), c.warn);
    }
    if (b.locked && column.width() >= 9)
        drawLock(painter, QPointF(fill.center().x() + 0.5, plot.bottom() - 6), inkOn(color));
    else if (b.locked)
        painter.fillRect(QRect(fill.left(), plot.bottom() - 3, fill.width(), 4), inkOn(color));
    paintSensitivity(painter, b.sensitivity,
                     QRect(column.left(), sensitivityRect().top(), column.width(), sensitivityRect().height()), c);
    if (bar == m_current) {
        painter.setPen(QPen(hasFocus() ? c.accent : c.dim, 2));
        painter.setBrush(Qt::NoBrush);
        painter.drawRect(QRect(column.left(), plot.top(), std::max(2, column.width()), plot.height() - 1));
    }
}

void BitBars::paintSensitivity(QPainter& painter, double sensitivity, const QRect& strip, const Colors& c) const
{
    if (std::isnan(sensitivity)) {
        painter.fillRect(strip, c.minorGrid);
        painter.fillRect(QRect(strip.left(), strip.center().y(), strip.width(), 1), c.dim);
        return;
    }
    painter.fillRect(strip, QColor::fromRgb(colorAt(ColorMap::inferno, 0.08 + 0.87 * sensitivity)));
    if (m_hatched) // the colour still shows between the lines
        painter.fillRect(strip, QBrush(c.surface, Qt::BDiagPattern));
}

void BitBars::paintOverview(QPainter& painter, const QRect& dirty) const
{
    if (dirty.isEmpty())
        return;
    const Colors c = colors(palette());
    const QRect strip = overviewRect();
    painter.fillRect(strip, c.minorGrid);
    const auto count = static_cast<int>(m_bars.size());
    for (int i = 0; i < count; ++i) {
        const auto k = static_cast<std::size_t>(i);
        const auto left = static_cast<int>(strip.left() + m_axis.edge(i) * strip.width());
        const auto right = static_cast<int>(strip.left() + m_axis.edge(i + 1) * strip.width());
        if (right < dirty.left() || left > dirty.right())
            continue;
        const double bits = bitsOf(i, m_bars[k].level);
        const auto height = static_cast<int>(std::lround(std::min(1.0, bits / m_axisMax) * strip.height()));
        painter.fillRect(QRect(left, strip.bottom() + 1 - height, std::max(1, right - left), height), bitsColor(bits));
    }
    if (m_axis.span() < 1) {
        QColor shade = c.surface;
        shade.setAlpha(170);
        const auto from = static_cast<int>(strip.left() + m_axis.from() * strip.width());
        const auto to = static_cast<int>(strip.left() + (m_axis.from() + m_axis.span()) * strip.width());
        painter.fillRect(QRect(strip.left(), strip.top(), from - strip.left(), strip.height()), shade);
        painter.fillRect(QRect(to, strip.top(), strip.right() + 1 - to, strip.height()), shade);
        painter.setPen(QPen(c.accent, 1));
        painter.setBrush(Qt::NoBrush);
        painter.drawRect(QRect(from, strip.top(), to - from - 1, strip.height() - 1));
    }
}

} // namespace ql::views
