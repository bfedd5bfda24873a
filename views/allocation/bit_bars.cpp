// SPDX-License-Identifier: GPL-3.0-or-later
// What the bars are and where they stand; painting, dragging and keys are in the files beside this one.
#include "views/allocation/bit_bars.h"

#include "views/allocation/bit_bars_accessible.h"

#include <QEvent>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr double kAxisLimit = 17;     // taller bars (f32) are cut off and marked
constexpr int kWidestBar = 180;       // pixels; one layer is no wall
constexpr int kSensitivityHeight = 9; // pixels
constexpr int kOverviewHeight = 18;

} // namespace

BitBars::BitBars(QWidget* parent) : QWidget(parent)
{
    installBitBarsAccessibility();
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    setAttribute(Qt::WA_OpaquePaintEvent);
    setAccessibleName(tr("Bits per layer"));
    m_message = tr("Open a checkpoint to assign bits to its layers.");
    measureFont();
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
    layOut();
    m_axis.showFromStart();
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

void BitBars::setSensitivity(std::vector<double> values, bool hatched)
{
    m_hatched = hatched;
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
        const double from = m_axis.from();
        m_axis.reveal(bar);
        if (m_axis.from() != from)
            update();
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
    layOut();
    update();
}

void BitBars::setMessage(const QString& text)
{
    m_message = text;
    update();
}

/// Shaping a text costs more than painting a bar, and every geometry below depends on these.
void BitBars::measureFont()
{
    const QFontMetrics metrics = fontMetrics();
    m_line = metrics.height();
    m_labelWidth = metrics.horizontalAdvance(QStringLiteral("000"));
    m_blockWidth = metrics.horizontalAdvance(QStringLiteral("block 00"));
}

void BitBars::changeEvent(QEvent* event)
{
    QWidget::changeEvent(event);
    if (event->type() != QEvent::FontChange)
        return;
    measureFont();
    layOut();
    update();
}

void BitBars::layOut()
{
    std::vector<double> widths;
    for (const Bar& bar : m_bars)
        widths.push_back(m_byShare ? bar.share : 1);
    m_axis.setWidths(widths);
    const QRect plot = plotRect();
    m_axis.setPixels(plot.left(), plot.width());
}

QRect BitBars::plotRect() const
{
    const QRect plot = rect().adjusted(m_labelWidth + 14, m_line + 6, -6, -(kSensitivityHeight + kOverviewHeight + 12));
    if (plot.width() <= 4 || plot.height() <= 4)
        return {};
    const int widest = kWidestBar * std::max(1, static_cast<int>(m_bars.size()));
    return {plot.left(), plot.top(), std::min(plot.width(), widest), plot.height()};
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

QRect BitBars::columnRect(int bar) const
{
    const QRect plot = plotRect();
    const int left = m_axis.leftOf(bar);
    return {left, plot.top(), std::max(1, m_axis.rightOf(bar) - left), plot.height()};
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

void BitBars::updateBar(int bar)
{
    const QRect plot = plotRect();
    const QRect column = columnRect(bar);
    update(QRect(QPoint(column.left() - 2, plot.top() - 2), QPoint(column.right() + 2, sensitivityRect().bottom() + 1))
               .intersected(rect()));
    const QRect overview = overviewRect();
    const double left = overview.left() + m_axis.edge(bar) * plot.width();
    const double right = overview.left() + m_axis.edge(bar + 1) * plot.width();
    update(QRect(static_cast<int>(left) - 1, overview.top(), static_cast<int>(right - left) + 3, overview.height()));
}

void BitBars::setSight(double from, double span)
{
    m_axis.setSight(from, span);
    update();
}

void BitBars::zoom(double factor, double x)
{
    m_axis.zoom(factor, x);
    update();
}

void BitBars::resizeEvent(QResizeEvent*)
{
    layOut();
    update();
}

double BitBars::bitsOf(int bar, int level) const
{
    return level >= 0 ? m_levels[static_cast<std::size_t>(level)].bits : m_bars[static_cast<std::size_t>(bar)].bits;
}

} // namespace ql::views
