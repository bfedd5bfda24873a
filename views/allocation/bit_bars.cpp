// SPDX-License-Identifier: GPL-3.0-or-later
// Geometry and painting; the editing is in bit_bars_edit.cpp.
#include "views/allocation/bit_bars.h"

#include "views/allocation/bit_bars_accessible.h"
#include "views/text/format.h"
#include "views/theme/color_map.h"
#include "views/theme/theme.h"

#include <QPaintEvent>
#include <QPainter>
#include <QPainterPath>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr double kAxisLimit = 17;   // taller bars (f32) are cut off and marked
constexpr double kDigitFrom = 14;   // pixels a column
constexpr double kPixelsPerBar = 2; // below this the view starts zoomed in
constexpr double kLargestBar = 90;  // pixels at the largest zoom
constexpr int kSensitivityHeight = 9;
constexpr int kOverviewHeight = 18;

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

BitBars::BitBars(QWidget* parent) : QWidget(parent)
{
    installBitBarsAccessibility();
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    setAttribute(Qt::WA_OpaquePaintEvent);
    setAccessibleName(tr("Bits per layer"));
    m_message = tr("Open a checkpoint to assign bits to its layers.");
}

void BitBars::setBars(std::vector<BarLevel> levels, std::vector<Bar> bars)
{
    m_drag = Drag::none;
    m_before.clear();
    m_preview.clear();
    m_levels = std::move(levels);
    m_bars = std::move(bars);
    m_selected.assign(m_bars.size(), false);
    m_current = m_bars.empty() ? -1 : std::clamp(m_current, 0, static_cast<int>(m_bars.size()) - 1);
    m_anchor = m_current;
    double most = 8;
    for (const BarLevel& level : m_levels)
        most = std::max(most, level.bits);
    for (const Bar& bar : m_bars)
        most = std::max(most, bar.bits);
    m_axisMax = std::min(most * 1.03, kAxisLimit);
    layoutBars();
    m_from = 0;
    m_span = 1;
    const double pixels = plotRect().width();
    if (!m_bars.empty() && pixels > 0)
        m_span = std::min(1.0, pixels / (kPixelsPerBar * static_cast<double>(m_bars.size())));
    update();
}

void BitBars::setLevel(int bar, int level, double bits)
{
    Bar& b = m_bars[static_cast<std::size_t>(bar)];
    if (b.level == level && b.bits == bits)
        return;
    b.level = level;
    b.bits = bits;
    updateBar(bar);
}

void BitBars::setLocked(int bar, bool locked)
{
    Bar& b = m_bars[static_cast<std::size_t>(bar)];
    if (b.locked == locked)
        return;
    b.locked = locked;
    updateBar(bar);
}

void BitBars::setSensitivity(std::vector<double> values)
{
    for (std::size_t i = 0; i < m_bars.size() && i < values.size(); ++i)
        m_bars[i].sensitivity = values[i];
    update(sensitivityRect().adjusted(-1, -1, 1, 1));
}

void BitBars::setPreview(std::vector<int> levels)
{
    m_preview = std::move(levels);
    update();
}

void BitBars::setCurrent(int bar)
{
    if (bar == m_current || bar >= static_cast<int>(m_bars.size()))
        return;
    const int old = m_current;
    m_current = bar;
    if (old >= 0)
        updateBar(old);
    if (bar >= 0) {
        reveal(bar);
        updateBar(bar);
    }
}

void BitBars::setSelected(const std::vector<int>& bars)
{
    std::vector<bool> selected(m_bars.size(), false);
    for (const int bar : bars)
        selected[static_cast<std::size_t>(bar)] = true;
    if (selected == m_selected)
        return;
    m_selected = std::move(selected);
    update();
}

std::vector<int> BitBars::selected() const
{
    std::vector<int> bars;
    for (std::size_t i = 0; i < m_selected.size(); ++i) {
        if (m_selected[i])
            bars.push_back(static_cast<int>(i));
    }
    return bars;
}

void BitBars::setWidthsByShare(bool on)
{
    m_byShare = on;
    layoutBars();
    setView(m_from, m_span);
    update();
}

void BitBars::setMessage(const QString& text)
{
    m_message = text;
    update();
}

void BitBars::layoutBars()
{
    m_edges.assign(m_bars.size() + 1, 0);
    double total = 0;
    for (std::size_t i = 0; i < m_bars.size(); ++i) {
        total += m_byShare ? std::max(m_bars[i].share, 1e-12) : 1;
        m_edges[i + 1] = total;
    }
    for (double& edge : m_edges)
        edge = total > 0 ? edge / total : 0;
}

QRect BitBars::plotRect() const
{
    const int line = fontMetrics().height();
    const QRect plot = rect().adjusted(fontMetrics().horizontalAdvance(QStringLiteral("000")) + 14, line + 6, -6,
                                       -(kSensitivityHeight + kOverviewHeight + 12));
    return plot.width() > 4 && plot.height() > 4 ? plot : QRect();
}

QRect BitBars::sensitivityRect() const
{
    const QRect plot = plotRect();
    return {plot.left(), plot.bottom() + 3, plot.width(), kSensitivityHeight};
}

QRect BitBars::overviewRect() const
{
    const QRect plot = plotRect();
    return {plot.left(), plot.bottom() + 3 + kSensitivityHeight + 5, plot.width(), kOverviewHeight};
}

double BitBars::xOfEdge(double edge) const
{
    const QRect plot = plotRect();
    return plot.left() + (edge - m_from) / m_span * plot.width();
}

QRect BitBars::columnRect(int bar) const
{
    const QRect plot = plotRect();
    const auto i = static_cast<std::size_t>(bar);
    const auto left = static_cast<int>(std::floor(xOfEdge(m_edges[i])));
    const auto right = static_cast<int>(std::floor(xOfEdge(m_edges[i + 1])));
    return {left, plot.top(), std::max(1, right - left), plot.height()};
}

int BitBars::yOfBits(double bits) const
{
    const QRect plot = plotRect();
    const double height = std::min(bits, m_axisMax) / m_axisMax * plot.height();
    return plot.bottom() + 1 - static_cast<int>(std::lround(height));
}

double BitBars::bitsAt(double y) const
{
    const QRect plot = plotRect();
    return plot.height() > 0 ? (plot.bottom() + 1 - y) / plot.height() * m_axisMax : 0;
}

int BitBars::barAt(double x) const
{
    const QRect plot = plotRect();
    if (m_bars.empty() || plot.isEmpty())
        return -1;
    // floor() of edges decides which column a pixel belongs to, as in columnRect().
    const double edge = m_from + (std::floor(x) + 0.999999 - plot.left()) / plot.width() * m_span;
    const auto found = std::upper_bound(m_edges.begin(), m_edges.end(), edge);
    return std::clamp(static_cast<int>(found - m_edges.begin()) - 1, 0, static_cast<int>(m_bars.size()) - 1);
}

double BitBars::minimumSpan() const
{
    return m_bars.empty() ? 1 : std::min(1.0, plotRect().width() / (kLargestBar * static_cast<double>(m_bars.size())));
}

void BitBars::setView(double from, double span)
{
    m_span = std::clamp(span, minimumSpan(), 1.0);
    m_from = std::clamp(from, 0.0, 1 - m_span);
    update();
}

void BitBars::zoom(double factor, double x)
{
    const QRect plot = plotRect();
    if (plot.isEmpty())
        return;
    const double t = std::clamp((x - plot.left()) / plot.width(), 0.0, 1.0);
    const double anchor = m_from + t * m_span;
    const double span = std::clamp(m_span / factor, minimumSpan(), 1.0);
    setView(anchor - t * span, span);
}

void BitBars::reveal(int bar)
{
    const auto i = static_cast<std::size_t>(bar);
    if (m_edges[i] < m_from)
        setView(m_edges[i], m_span);
    else if (m_edges[i + 1] > m_from + m_span)
        setView(m_edges[i + 1] - m_span, m_span);
}

void BitBars::updateBar(int bar)
{
    const QRect plot = plotRect();
    const QRect column = columnRect(bar);
    update(QRect(column.left() - 2, 0, column.width() + 4, sensitivityRect().bottom() + 2).intersected(rect()));
    const QRect overview = overviewRect();
    const double left = overview.left() + m_edges[static_cast<std::size_t>(bar)] * plot.width();
    const double right = overview.left() + m_edges[static_cast<std::size_t>(bar) + 1] * plot.width();
    update(QRect(static_cast<int>(left) - 1, overview.top(), static_cast<int>(right - left) + 3, overview.height()));
}

void BitBars::resizeEvent(QResizeEvent*)
{
    setView(m_from, m_span);
}

double BitBars::bitsOf(int bar, int level) const
{
    return level >= 0 ? m_levels[static_cast<std::size_t>(level)].bits : m_bars[static_cast<std::size_t>(bar)].bits;
}

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
    paintBackground(painter);
    paintBars(painter, dirty);
    if (dirty.intersects(overviewRect()))
        paintOverview(painter, dirty);
    if (m_drag == Drag::band) {
        painter.setPen(QPen(c.accent, 1, Qt::DashLine));
        painter.setBrush(QColor(c.accent.red(), c.accent.green(), c.accent.blue(), 40));
        painter.drawRect(m_band.adjusted(0, 0, -1, -1));
    }
}

void BitBars::paintBackground(QPainter& painter) const
{
    const Colors c = colors(palette());
    const QRect plot = plotRect();
    const int line = fontMetrics().height();
    painter.setPen(c.dim);
    painter.drawText(QRect(0, 0, plot.left() - 2, line + 4), Qt::AlignRight | Qt::AlignVCenter, tr("bits"));
    std::vector<int> labels; // the important ones first; the others where there is room
    for (const int bits : {16, 8, 4, 2, 12, 6, 3, 10, 5}) {
        if (bits > m_axisMax)
            continue;
        const int y = yOfBits(bits);
        painter.setPen(c.grid);
        painter.drawLine(plot.left(), y, plot.right(), y);
        if (std::any_of(labels.begin(), labels.end(), [&](int other) { return std::abs(other - y) < line; }))
            continue;
        labels.push_back(y);
        painter.setPen(c.dim);
        painter.drawText(QRect(0, y - line / 2, plot.left() - 6, line), Qt::AlignRight | Qt::AlignVCenter,
                         QString::number(bits));
    }
}

void BitBars::paintBars(QPainter& painter, const QRect& dirty) const
{
    const Colors c = colors(palette());
    const QRect plot = plotRect();
    const int line = fontMetrics().height();
    const int first = barAt(std::max(dirty.left(), plot.left()));
    const int last = barAt(std::min(dirty.right(), plot.right()));
    painter.save();
    painter.setClipRect(QRect(plot.left(), 0, plot.width(), sensitivityRect().bottom() + 1));

    // Blocks: a number above and a line where a new one begins.
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
            painter.drawLine(left, plot.top() - line - 2, left, plot.bottom());
        }
        if (block >= 0) {
            painter.setPen(c.dim);
            const QString label = right - left > fontMetrics().horizontalAdvance(QStringLiteral("block 00")) + 4
                                      ? tr("block %1").arg(block)
                                      : QString::number(block);
            if (right - left >= fontMetrics().horizontalAdvance(label) + 2)
                painter.drawText(QRect(left, 0, right - left, line + 4), Qt::AlignCenter, label);
        }
        i = end;
    }
    for (int i = first; i <= last; ++i)
        paintBar(painter, i, columnRect(i));
    painter.restore();
    if (dirty.left() < plot.left()) {
        painter.setPen(c.dim);
        painter.drawText(QRect(0, sensitivityRect().top() - line / 4, plot.left() - 6, line), Qt::AlignRight,
                         QStringLiteral("Δ"));
    }
}

void BitBars::paintBar(QPainter& painter, int bar, const QRect& column) const
{
    const Colors c = colors(palette());
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
    if (column.width() >= kDigitFrom && fill.height() > fontMetrics().height()) {
        painter.setPen(inkOn(color));
        const bool whole = std::fabs(bits - std::round(bits)) < 0.05;
        QString digits = whole || column.width() < 30 ? QString::number(static_cast<int>(bits + 0.05))
                                                      : QString::number(bits, 'f', 1);
        painter.drawText(QRect(fill.left(), fill.top() + 1, fill.width(), fontMetrics().height()), Qt::AlignCenter,
                         digits);
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
    const QRect strip(column.left(), sensitivityRect().top(), column.width(), kSensitivityHeight);
    painter.fillRect(strip, std::isnan(b.sensitivity)
                                ? c.minorGrid
                                : QColor::fromRgb(colorAt(ColorMap::inferno, 0.08 + 0.87 * b.sensitivity)));
    if (bar == m_current) {
        painter.setPen(QPen(hasFocus() ? c.accent : c.dim, 2));
        painter.setBrush(Qt::NoBrush);
        painter.drawRect(QRect(column.left(), plot.top(), std::max(2, column.width()), plot.height() - 1));
    }
}

void BitBars::paintOverview(QPainter& painter, const QRect& dirty) const
{
    const Colors c = colors(palette());
    const QRect strip = overviewRect();
    painter.fillRect(strip, c.minorGrid);
    const auto count = static_cast<int>(m_bars.size());
    for (int i = 0; i < count; ++i) {
        const auto k = static_cast<std::size_t>(i);
        const auto left = static_cast<int>(strip.left() + m_edges[k] * strip.width());
        const auto right = static_cast<int>(strip.left() + m_edges[k + 1] * strip.width());
        if (right < dirty.left() || left > dirty.right())
            continue;
        const double bits = bitsOf(i, m_bars[k].level);
        const auto height = static_cast<int>(std::lround(std::min(1.0, bits / m_axisMax) * strip.height()));
        painter.fillRect(QRect(left, strip.bottom() + 1 - height, std::max(1, right - left), height), bitsColor(bits));
    }
    if (m_span < 1) {
        QColor shade = c.surface;
        shade.setAlpha(170);
        const auto from = static_cast<int>(strip.left() + m_from * strip.width());
        const auto to = static_cast<int>(strip.left() + (m_from + m_span) * strip.width());
        painter.fillRect(QRect(strip.left(), strip.top(), from - strip.left(), strip.height()), shade);
        painter.fillRect(QRect(to, strip.top(), strip.right() + 1 - to, strip.height()), shade);
        painter.setPen(QPen(c.accent, 1));
        painter.setBrush(Qt::NoBrush);
        painter.drawRect(QRect(from, strip.top(), to - from - 1, strip.height() - 1));
    }
}

} // namespace ql::views
