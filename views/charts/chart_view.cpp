// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/charts/chart_view.h"

#include "views/theme/theme.h"

#include <QAbstractAxis>
#include <QEvent>
#include <QGraphicsLayout>
#include <QLegend>
#include <QMouseEvent>
#include <QPainter>

namespace ql::views {

ChartView::ChartView(QWidget* parent) : QChartView(parent)
{
    setFrameShape(QFrame::NoFrame);
    setRenderHint(QPainter::Antialiasing);
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    viewport()->setMouseTracking(true);
    newChart();
}

QChart* ChartView::newChart()
{
    auto* fresh = new QChart;
    fresh->setAnimationOptions(QChart::NoAnimation);
    fresh->setMargins(QMargins(2, 2, 2, 2));
    fresh->layout()->setContentsMargins(0, 0, 0, 0);
    fresh->setBackgroundRoundness(0);
    fresh->legend()->setVisible(false);
    QChart* old = chart();
    setChart(fresh);
    delete old;
    applyTheme();
    return fresh;
}

void ChartView::applyTheme()
{
    const Colors c = colors(palette());
    setBackgroundBrush(c.surface);
    chart()->setBackgroundBrush(c.surface);
    chart()->setBackgroundPen(Qt::NoPen);
    chart()->setTitleBrush(c.text);
    chart()->legend()->setLabelColor(c.text);
    QFont small = font();
    small.setPointSizeF(small.pointSizeF() * 0.9);
    chart()->legend()->setFont(small);
    for (QAbstractAxis* axis : chart()->axes()) {
        axis->setLabelsColor(c.dim);
        axis->setLabelsFont(small);
        axis->setTitleBrush(c.text);
        axis->setTitleFont(small);
        axis->setLinePen(QPen(c.dim, 1));
        axis->setGridLinePen(QPen(c.grid, 1));
        axis->setMinorGridLinePen(QPen(c.minorGrid, 1)); // else glaring white on dark log axes
        axis->setShadesVisible(false);
    }
}

void ChartView::setMessage(const QString& text)
{
    m_message = text;
    viewport()->update();
}

void ChartView::changeEvent(QEvent* event)
{
    QChartView::changeEvent(event);
    if (event->type() == QEvent::PaletteChange && chart()) {
        applyTheme();
        Q_EMIT themeChanged();
    }
}

void ChartView::mouseMoveEvent(QMouseEvent* event)
{
    QChartView::mouseMoveEvent(event);
    const QPointF point = event->position();
    const bool inside = chart()->plotArea().contains(point) && !chart()->series().isEmpty();
    Q_EMIT hovered(inside ? chart()->mapToValue(point) : QPointF(), event->globalPosition().toPoint(), inside);
}

void ChartView::leaveEvent(QEvent* event)
{
    QChartView::leaveEvent(event);
    Q_EMIT hovered({}, {}, false);
}

void ChartView::drawForeground(QPainter* painter, const QRectF& rect)
{
    QChartView::drawForeground(painter, rect);
    if (m_message.isEmpty())
        return;
    painter->save();
    painter->resetTransform();
    painter->setPen(colors(palette()).dim);
    painter->drawText(viewport()->rect().adjusted(12, 12, -12, -12), Qt::AlignCenter | Qt::TextWordWrap, m_message);
    painter->restore();
}

} // namespace ql::views
