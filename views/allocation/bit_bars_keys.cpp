// SPDX-License-Identifier: GPL-3.0-or-later
// Keys: going to a layer, selecting, more or fewer bits. And what a bar says when the pointer rests on it.
#include "views/allocation/bit_bars.h"

#include <QHelpEvent>
#include <QKeyEvent>
#include <QToolTip>

#include <algorithm>

namespace ql::views {

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

std::vector<int> BitBars::editedBars() const
{
    const std::vector<int> chosen = selected();
    if (chosen.size() > 1)
        return chosen;
    return m_current >= 0 ? std::vector<int>{m_current} : std::vector<int>{};
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
        setSight(0, 1);
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

bool BitBars::event(QEvent* event)
{
    if (event->type() == QEvent::ToolTip) {
        const auto* help = static_cast<QHelpEvent*>(event);
        const int bar = plotRect().left() <= help->pos().x() ? m_axis.barAt(help->pos().x()) : -1;
        if (bar >= 0 && m_tip && !isDragging())
            QToolTip::showText(help->globalPos(), m_tip(bar), this);
        else if (bar < 0 && !m_bars.empty() && help->pos().y() > plotRect().bottom())
            QToolTip::showText(help->globalPos(),
                               tr("Sensitivity: the loss per weight at about 4 bits, on a logarithmic scale; the "
                                  "brighter, the more a layer suffers.\nBelow it all layers; drag there to scroll."),
                               this);
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
