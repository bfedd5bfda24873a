// SPDX-License-Identifier: GPL-3.0-or-later
// Mouse and keyboard of the bars.
#include "views/allocation/bit_bars.h"

#include <QContextMenuEvent>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QToolTip>
#include <QWheelEvent>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr double kDragFrom = 3;       // pixels; less is a click, which selects and changes nothing
constexpr double kPixelsPerStep = 16; // of a relative drag

} // namespace

bool BitBars::isLevelAllowed(int bar, int level) const
{
    const auto& ladder = m_bars[static_cast<std::size_t>(bar)].ladder;
    return std::find(ladder.begin(), ladder.end(), level) != ladder.end();
}

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

std::vector<int> BitBars::editedBars() const
{
    const std::vector<int> chosen = selected();
    if (chosen.size() > 1)
        return chosen;
    return m_current >= 0 ? std::vector<int>{m_current} : std::vector<int>{};
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
    m_lastBar = barAt(m_pressPoint.x());
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
    const int bar = barAt(x);
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
        const int under = barAt(point.x());
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
        setView((point.x() - plot.left()) / plot.width() - m_span / 2, m_span);
        break;
    case Drag::none:
    case Drag::pressed:
        break;
    }
}

void BitBars::endDrag()
{
    const Drag drag = m_drag;
    m_drag = Drag::none;
    if (drag == Drag::band) {
        std::vector<int> bars;
        if (!m_band.isEmpty()) {
            for (int i = barAt(m_band.left()); i <= barAt(m_band.right()); ++i)
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
    const int bar = barAt(event->position().x());
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

void BitBars::moveCurrent(int bar, bool extend)
{
    if (m_bars.empty())
        return;
    const int to = std::clamp(bar, 0, static_cast<int>(m_bars.size()) - 1);
    if (!extend || m_anchor < 0)
        m_anchor = to;
    std::vector<int> bars;
    for (int i = std::min(m_anchor, to); i <= std::max(m_anchor, to); ++i)
        bars.push_back(i);
    setSelected(bars);
    setCurrent(to);
    Q_EMIT selectionChanged();
    Q_EMIT currentChanged(to);
}

void BitBars::setFromKeys(const std::function<int(int bar)>& levelOf, const QString& text)
{
    std::vector<BarEdit> edits;
    for (const int bar : editedBars()) {
        const int level = levelOf(bar);
        const Bar& b = m_bars[static_cast<std::size_t>(bar)];
        if (level >= 0 && level != b.level && !b.locked)
            edits.push_back({bar, level});
    }
    if (edits.empty())
        return;
    Q_EMIT editStarted();
    apply(std::move(edits));
    Q_EMIT editCommitted(text, true);
}

void BitBars::setBitsOfCurrent(double bits)
{
    setFromKeys([this, bits](int bar) { return nearestLevel(bar, bits); }, tr("Set about %1 bits").arg(bits));
}

void BitBars::keyPressEvent(QKeyEvent* event)
{
    if (event->key() == Qt::Key_Escape && m_drag != Drag::none) {
        cancelDrag();
        return;
    }
    if (m_bars.empty() || m_drag != Drag::none) {
        QWidget::keyPressEvent(event);
        return;
    }
    const bool shift = event->modifiers().testFlag(Qt::ShiftModifier);
    const double middle = plotRect().center().x();
    const auto stepped = [this](int direction) {
        return [this, direction](int bar) {
            const Bar& b = m_bars[static_cast<std::size_t>(bar)];
            const auto at = std::find(b.ladder.begin(), b.ladder.end(), b.level);
            if (at == b.ladder.end())
                return nearestLevel(bar, b.bits);
            const auto index = at - b.ladder.begin() + direction;
            return index < 0 || index >= static_cast<std::ptrdiff_t>(b.ladder.size())
                       ? b.level
                       : b.ladder[static_cast<std::size_t>(index)];
        };
    };
    if (event->matches(QKeySequence::SelectAll)) {
        std::vector<int> all(m_bars.size());
        for (std::size_t i = 0; i < all.size(); ++i)
            all[i] = static_cast<int>(i);
        setSelected(all);
        Q_EMIT selectionChanged();
        return;
    }
    switch (event->key()) {
    case Qt::Key_Left:
        moveCurrent(m_current - 1, shift);
        break;
    case Qt::Key_Right:
        moveCurrent(m_current + 1, shift);
        break;
    case Qt::Key_Home:
        moveCurrent(0, shift);
        break;
    case Qt::Key_End:
        moveCurrent(static_cast<int>(m_bars.size()) - 1, shift);
        break;
    case Qt::Key_Up:
        setFromKeys(stepped(1), tr("More bits"));
        break;
    case Qt::Key_Down:
        setFromKeys(stepped(-1), tr("Fewer bits"));
        break;
    case Qt::Key_Plus:
    case Qt::Key_Equal:
        zoom(1.5, middle);
        break;
    case Qt::Key_Minus:
        zoom(1 / 1.5, middle);
        break;
    case Qt::Key_0:
        setView(0, 1);
        break;
    case Qt::Key_Space: {
        const std::vector<int> bars = editedBars();
        if (!bars.empty())
            Q_EMIT lockToggled(bars, !m_bars[static_cast<std::size_t>(bars.front())].locked);
        break;
    }
    default:
        if (event->key() >= Qt::Key_1 && event->key() <= Qt::Key_8 && event->modifiers() == Qt::NoModifier) {
            const int bits = event->key() == Qt::Key_1 ? 16 : event->key() - Qt::Key_0;
            setBitsOfCurrent(bits);
        } else {
            QWidget::keyPressEvent(event);
        }
    }
}

void BitBars::wheelEvent(QWheelEvent* event)
{
    if (m_bars.empty())
        return;
    const QPoint delta = event->angleDelta();
    if (delta.x() != 0 || event->modifiers().testFlag(Qt::ShiftModifier)) {
        const int along = delta.x() != 0 ? delta.x() : delta.y();
        setView(m_from - along / 120.0 * m_span / 10, m_span);
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

bool BitBars::event(QEvent* event)
{
    if (event->type() == QEvent::ToolTip) {
        const auto* help = static_cast<QHelpEvent*>(event);
        const int bar = plotRect().left() <= help->pos().x() ? barAt(help->pos().x()) : -1;
        if (bar >= 0 && m_tip && !isDragging())
            QToolTip::showText(help->globalPos(), m_tip(bar), this);
        else
            QToolTip::hideText();
        return true;
    }
    if (event->type() == QEvent::ShortcutOverride) {
        // Single keys belong to the bars while they have the focus.
        event->setAccepted(static_cast<QKeyEvent*>(event)->modifiers() == Qt::NoModifier);
        return event->isAccepted() || QWidget::event(event);
    }
    return QWidget::event(event);
}

} // namespace ql::views
