// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/charts/axes.h"
#include "views/panels/landscape/landscape_map.h"
#include "views/text/format.h"
#include "views/theme/color_map.h"
#include "views/theme/theme.h"

#include <QPainter>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ql::views {

namespace {

constexpr ColorMap kMap = ColorMap::viridis;
constexpr int kTickRoom = 8; // pixels between numbers along an axis, at least

/// A line that is seen on every colour.
void drawTwice(QPainter& painter, const QColor& ink, double width, const auto& draw)
{
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(inkOn(ink), width + 2));
    draw();
    painter.setPen(QPen(ink, width));
    draw();
}

} // namespace

LandscapeMap::Range LandscapeMap::differences() const
{
    Range range{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
    for (const double loss : m_landscape->losses) {
        range.low = std::min(range.low, loss - m_landscape->ownLoss);
        range.high = std::max(range.high, loss - m_landscape->ownLoss);
    }
    return range.low <= range.high ? range : Range();
}

void LandscapeMap::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    const Colors c = colors(palette());
    painter.fillRect(rect(), c.surface);
    if (m_landscape) {
        const QRect plot = plotRect();
        paintCells(painter);
        paintMarks(painter);
        if (hasSurroundings(plot)) {
            paintAxes(painter, plot);
            paintColorBar(painter, plot);
        }
    } else {
        painter.setPen(c.dim);
        painter.drawText(rect().adjusted(12, 12, -12, -12), Qt::AlignCenter | Qt::TextWordWrap, m_message);
    }
    if (hasFocus()) {
        painter.setRenderHint(QPainter::Antialiasing, false);
        painter.setPen(QPen(c.accent, 1));
        painter.setBrush(Qt::NoBrush);
        painter.drawRect(rect().adjusted(0, 0, -1, -1));
    }
}

void LandscapeMap::paintCells(QPainter& painter) const
{
    const Colors c = colors(palette());
    const Range range = differences();
    const double width = range.high > range.low ? range.high - range.low : 1;
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing, false);
    for (int a = 0; a < m_landscape->points(); ++a)
        for (int b = 0; b < m_landscape->points(); ++b) {
            const double difference = m_landscape->difference(a, b);
            painter.fillRect(cellRect(a, b), std::isnan(difference)
                                                 ? c.minorGrid
                                                 : QColor::fromRgb(colorAt(kMap, (difference - range.low) / width)));
        }
    painter.restore();
}

void LandscapeMap::paintMarks(QPainter& painter) const
{
    const Colors c = colors(palette());
    painter.save();
    painter.setClipRect(plotRect());
    if (m_planDistance > 0)
        drawTwice(painter, c.warn, 2, [&] {
            const QPointF middle = placeOf(0, 0);
            const QPointF corner = placeOf(m_planDistance, m_planDistance);
            painter.drawEllipse(middle, corner.x() - middle.x(), middle.y() - corner.y());
        });
    drawTwice(painter, Qt::white, 1.5, [&] {
        constexpr double kArm = 5;
        const QPointF middle = placeOf(0, 0);
        painter.drawLine(middle - QPointF(kArm, 0), middle + QPointF(kArm, 0));
        painter.drawLine(middle - QPointF(0, kArm), middle + QPointF(0, kArm));
    });
    if (m_cursor)
        drawTwice(painter, c.accent, 2,
                  [&] { painter.drawRect(cellRect(m_cursor->x(), m_cursor->y()).adjusted(1, 1, -1, -1)); });
    painter.restore();
}

QString LandscapeMap::titleThatFits(std::size_t axis, int width) const
{
    const QString texts[] = {tr("%1; in % of the weights' norm").arg(m_landscape->axisText(axis)),
                             tr("%1; % of norm").arg(m_landscape->axisText(axis)),
                             tr("%1; % of norm").arg(m_landscape->shortAxisText(axis))};
    for (const QString& text : texts)
        if (fontMetrics().horizontalAdvance(text) <= width)
            return text;
    return fontMetrics().elidedText(texts[2], Qt::ElideRight, width);
}

void LandscapeMap::paintAxes(QPainter& painter, const QRect& plot) const
{
    const Colors c = colors(palette());
    const int line = fontMetrics().height();
    const double most = 100 * m_landscape->share(m_landscape->steps.back());
    const int wide = fontMetrics().horizontalAdvance(QStringLiteral("−00.0")) + kTickRoom;
    const double step = roundStep(2 * most, std::clamp(plot.width() / wide, 2, 10));
    painter.setPen(c.dim);
    for (double percent = -std::floor(most / step + 1e-9) * step; percent <= most * (1 + 1e-9); percent += step) {
        const double distance = percent / 100 * m_landscape->weightNorm;
        const QString text = numberText(std::fabs(percent) < step / 2 ? 0 : percent);
        const double x = placeOf(distance, 0).x();
        painter.drawLine(QPointF(x, plot.bottom() + 1), QPointF(x, plot.bottom() + 4));
        painter.drawText(QRectF(x - wide / 2.0, plot.bottom() + 5, wide, line), Qt::AlignCenter, text);
        const double y = placeOf(0, distance).y();
        painter.drawLine(QPointF(plot.left() - 4, y), QPointF(plot.left() - 1, y));
        painter.drawText(QRectF(plot.left() - wide - 6, y - line / 2.0, wide, line), Qt::AlignRight | Qt::AlignVCenter,
                         text);
    }
    painter.setPen(c.text);
    // Titles may be longer than a low plot is wide.
    const int room = 2 * std::min(plot.center().x(), width() - plot.center().x());
    painter.drawText(QRect(plot.center().x() - room / 2, plot.bottom() + 6 + line, room, line), Qt::AlignCenter,
                     titleThatFits(0, room));
    painter.save();
    painter.translate(plot.left() - wide - 6 - line, plot.center().y());
    painter.rotate(-90);
    painter.drawText(QRect(-height() / 2, 0, height(), line), Qt::AlignCenter, titleThatFits(1, height()));
    painter.restore();
}

void LandscapeMap::paintColorBar(QPainter& painter, const QRect& plot) const
{
    const Colors c = colors(palette());
    const int line = fontMetrics().height();
    const QRect bar(plot.right() + 10, plot.top(), line * 3 / 4, plot.height());
    const Range range = differences();
    for (int y = 0; y < bar.height(); ++y)
        painter.fillRect(bar.left(), bar.top() + y, bar.width(), 1,
                         QColor::fromRgb(colorAt(kMap, 1 - (y + 0.5) / bar.height())));
    painter.setPen(c.text);
    painter.drawText(QRect(0, plot.top() - line - 3, width() - 2, line), Qt::AlignRight | Qt::AlignBottom,
                     fontMetrics().elidedText(tr("L(a, b) − L(0, 0) in nats per token"), Qt::ElideRight, width() - 2));
    if (!(range.high > range.low))
        return;
    painter.setPen(c.dim);
    const int ticks = std::clamp(bar.height() / (2 * line), 1, 4);
    for (int i = 0; i <= ticks; ++i) {
        const double t = static_cast<double>(i) / ticks;
        const int y = bar.bottom() - static_cast<int>(std::lround(t * (bar.height() - 1)));
        const int up = i == 0 ? line : i == ticks ? 0 : line / 2;
        painter.drawText(QRect(bar.right() + 6, y - up, width() - bar.right() - 6, line),
                         Qt::AlignLeft | Qt::AlignVCenter, numberText(range.low + (range.high - range.low) * t, 2));
    }
}

} // namespace ql::views
