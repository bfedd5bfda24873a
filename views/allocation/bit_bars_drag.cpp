// SPDX-License-Identifier: GPL-3.0-or-later
// Dragging: what the mouse does to the bars.
#include "views/allocation/bit_bars.h"

#include <QContextMenuEvent>
#include <QMouseEvent>
#include <QWheelEvent>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr double kDragFrom = 3;       // pixels; less is a click, which selects and changes nothing
constexpr double kPixelsPerStep = 16; // of a relative drag

} // namespace

int BitBars::nearestLevel(int bar, double bits) const
{
    int best = -1;
    double distance = INFINITY;
    for (const int level : m_bars[static_cast<std::size_t>(bar)].ladder) {
        const double d = std::fabs(m_levels[static_cast<std::size_t>(level)].bits - bits);
        if (d < distance) {
            distance = d;
            best = level;
        }
    }
    return best;
}

void BitBars::apply(std::vector<BarEdit> edits)
{
    std::erase_if(edits, [this](const BarEdit& edit) {
        const Bar& bar = m_bars[static_cast<std::size_t>(edit.bar)];
        return bar.locked || edit.level < 0 || bar.level == edit.level;
    });
    if (edits.empty())
        return;
    for (const BarEdit& edit : edits)
        setLevel(edit.bar, edit.level, m_levels[static_cast<std::size_t>(edit.level)].bits);
    Q_EMIT levelsEdited(edits);
}

QString BitBars::commitText() const
{
    std::vector<int> changed;
    for (std::size_t i = 0; i < m_before.size(); ++i) {
        if (m_before[i] != m_bars[i].level)
            changed.push_back(static_cast<int>(i));
    }
    if (changed.empty())
        return {};
    const Bar& first = m_bars[static_cast<std::size_t>(changed.front())];
    if (changed.size() == 1 && first.level >= 0)
        return tr("Set %1 to %2").arg(first.name, m_levels[static_cast<std::size_t>(first.level)].text);
    return tr("Set bits of %1 layers").arg(changed.size());
}

void BitBars::beginDrag(QPointF point, Qt::KeyboardModifiers modifiers)
{
    m_before.clear();
    for (const Bar& bar : m_bars)
        m_before.push_back(bar.level);
    m_lastBar = m_axis.barAt(m_pressPoint.x());
    m_lastPoint = m_pressPoint;
    if (modifiers.testFlag(Qt::ControlModifier)) {
        m_drag = Drag::relative;
        m_dragBars = selected();
        if (std::find(m_dragBars.begin(), m_dragBars.end(), m_lastBar) == m_dragBars.end())
            m_dragBars = {m_lastBar};
    } else {
        m_drag = modifiers.testFlag(Qt::ShiftModifier) ? Drag::block : Drag::paint;
    }
    Q_EMIT editStarted();
    if (m_drag == Drag::paint)
        apply({{m_lastBar, nearestLevel(m_lastBar, bitsAt(m_pressPoint.y()))}});
    moveDrag(point);
}

void BitBars::paintTo(QPointF point)
{
    const QRect plot = plotRect();
    const double x = std::clamp(point.x(), static_cast<double>(plot.left()), static_cast<double>(plot.right()));
    const int bar = m_axis.barAt(x);
    std::vector<BarEdit> edits;
    // Between two mouse events the pointer crossed columns; the last painted one already has its level.
    const int step = bar > m_lastBar ? 1 : -1;
    for (int i = m_lastBar; i != bar;) {
        i += step;
        double y = point.y();
        if (i != bar) {
            const double middle = columnRect(i).center().x();
            const double t = (middle - m_lastPoint.x()) / (x - m_lastPoint.x());
            y = m_lastPoint.y() + std::clamp(t, 0.0, 1.0) * (point.y() - m_lastPoint.y());
        }
        edits.push_back({i, nearestLevel(i, bitsAt(y))});
    }
    if (bar == m_lastBar)
        edits.push_back({bar, nearestLevel(bar, bitsAt(point.y()))});
    m_lastBar = bar;
    m_lastPoint = QPointF(x, point.y());
    apply(std::move(edits));
}

void BitBars::moveDrag(QPointF point)
{
    const QRect plot = plotRect();
    std::vector<BarEdit> edits;
    switch (m_drag) {
    case Drag::paint:
        paintTo(point);
        break;
    case Drag::block: {
        const int under = m_axis.barAt(point.x());
        const qint64 block = m_bars[static_cast<std::size_t>(under)].block;
        for (int i = 0; i < static_cast<int>(m_bars.size()); ++i) {
            if (m_bars[static_cast<std::size_t>(i)].block == block)
                edits.push_back({i, nearestLevel(i, bitsAt(point.y()))});
        }
        apply(std::move(edits));
        break;
    }
    case Drag::relative: {
        const auto steps = static_cast<int>(std::lround((m_pressPoint.y() - point.y()) / kPixelsPerStep));
        for (const int bar : m_dragBars) {
            const auto& ladder = m_bars[static_cast<std::size_t>(bar)].ladder;
            const auto at = std::find(ladder.begin(), ladder.end(), m_before[static_cast<std::size_t>(bar)]);
            if (at == ladder.end())
                continue;
            const auto index =
                std::clamp(static_cast<int>(at - ladder.begin()) + steps, 0, static_cast<int>(ladder.size()) - 1);
            edits.push_back({bar, ladder[static_cast<std::size_t>(index)]});
        }
        apply(std::move(edits));
        break;
    }
    case Drag::band: {
        const QRect old = m_band;
        m_band = QRect(m_pressPoint.toPoint(), point.toPoint()).normalized().intersected(plot);
        update(old.united(m_band).adjusted(-1, -1, 1, 1));
        break;
    }
    case Drag::overview:
        setSight((point.x() - plot.left()) / plot.width() - m_axis.span() / 2, m_axis.span());
        break;
    case Drag::none:
    case Drag::pressed:
        break;
    }
    if (m_drag == Drag::paint || m_drag == Drag::block || m_drag == Drag::relative)
        moveTag(point);
}

void BitBars::moveTag(QPointF point)
{
    update(m_tag);
    const Bar& bar = m_bars[static_cast<std::size_t>(m_axis.barAt(point.x()))];
    m_tagText = bar.locked       ? tr("locked")
                : bar.level >= 0 ? m_levels[static_cast<std::size_t>(bar.level)].text
                                 : QString();
    const QSize size(fontMetrics().horizontalAdvance(m_tagText) + 12, m_line + 6);
    const QRect plot = plotRect();
    m_tag = m_tagText.isEmpty() ? QRect() : QRect(point.toPoint() + QPoint(14, -size.height() - 6), size);
    if (m_tag.right() > plot.right())
        m_tag.moveRight(static_cast<int>(point.x()) - 10);
    m_tag.moveTop(std::clamp(m_tag.top(), plot.top(), std::max(plot.top(), plot.bottom() - size.height())));
    update(m_tag);
}

void BitBars::hideTag()
{
    update(m_tag);
    m_tag = {};
}

void BitBars::endDrag()
{
    const Drag drag = m_drag;
    m_drag = Drag::none;
    hideTag();
    if (drag == Drag::band) {
        std::vector<int> bars;
        if (!m_band.isEmpty()) {
            for (int i = m_axis.barAt(m_band.left()); i <= m_axis.barAt(m_band.right()); ++i)
                bars.push_back(i);
        }
        update(m_band.adjusted(-1, -1, 1, 1));
        setSelected(bars);
        Q_EMIT selectionChanged();
        return;
    }
    if (drag != Drag::paint && drag != Drag::block && drag != Drag::relative)
        return;
    const QString text = commitText();
    m_before.clear();
    update();
    if (text.isEmpty())
        Q_EMIT editCancelled();
    else
        Q_EMIT editCommitted(text, false);
}

void BitBars::cancelDrag()
{
    const Drag drag = m_drag;
    m_drag = Drag::none;
    hideTag();
    if (drag == Drag::band)
        update(m_band.adjusted(-1, -1, 1, 1));
    if (drag != Drag::paint && drag != Drag::block && drag != Drag::relative)
        return;
    for (std::size_t i = 0; i < m_before.size(); ++i) {
        if (m_before[i] >= 0)
            setLevel(static_cast<int>(i), m_before[i], m_levels[static_cast<std::size_t>(m_before[i])].bits);
    }
    m_before.clear();
    update();
    Q_EMIT editCancelled();
}

void BitBars::mousePressEvent(QMouseEvent* event)
{
    if (m_bars.empty() || m_drag != Drag::none || plotRect().isEmpty())
        return;
    setFocus(Qt::MouseFocusReason);
    m_pressPoint = event->position();
    m_pressModifiers = event->modifiers();
    if (event->button() == Qt::LeftButton && overviewRect().contains(m_pressPoint.toPoint())) {
        m_drag = Drag::overview;
        moveDrag(m_pressPoint);
    } else if (event->button() == Qt::LeftButton && m_pressPoint.x() >= plotRect().left()) {
        m_drag = Drag::pressed;
    } else if (event->button() == Qt::RightButton) {
        m_drag = Drag::band;
        m_band = QRect();
    }
}

void BitBars::mouseMoveEvent(QMouseEvent* event)
{
    if (m_drag == Drag::none)
        return;
    const QPointF point = event->position();
    if (m_drag == Drag::pressed) {
        if ((point - m_pressPoint).manhattanLength() < kDragFrom)
            return;
        beginDrag(point, m_pressModifiers);
        return;
    }
    moveDrag(point);
}

void BitBars::mouseReleaseEvent(QMouseEvent* event)
{
    if (m_drag != Drag::pressed) {
        endDrag();
        return;
    }
    m_drag = Drag::none;
    const int bar = m_axis.barAt(event->position().x());
    if (m_pressModifiers.testFlag(Qt::ControlModifier)) {
        m_selected[static_cast<std::size_t>(bar)] = !m_selected[static_cast<std::size_t>(bar)];
        m_anchor = bar;
        update();
        setCurrent(bar);
        Q_EMIT selectionChanged();
        Q_EMIT currentChanged(bar);
    } else {
        moveCurrent(bar, m_pressModifiers.testFlag(Qt::ShiftModifier));
    }
}

void BitBars::wheelEvent(QWheelEvent* event)
{
    if (m_bars.empty())
        return;
    const QPoint delta = event->angleDelta();
    if (delta.x() != 0 || event->modifiers().testFlag(Qt::ShiftModifier)) {
        const int along = delta.x() != 0 ? delta.x() : delta.y();
        setSight(m_axis.from() - along / 120.0 * m_axis.span() / 10, m_axis.span());
    } else {
        zoom(std::pow(1.2, delta.y() / 120.0), event->position().x());
    }
    event->accept();
}

void BitBars::contextMenuEvent(QContextMenuEvent* event)
{
    // The right button is the rubber band; the keyboard's menu key still opens the view's menu.
    if (event->reason() == QContextMenuEvent::Mouse)
        event->accept();
    else
        QWidget::contextMenuEvent(event);
}

} // namespace ql::views
