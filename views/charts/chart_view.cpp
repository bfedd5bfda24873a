// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/charts/chart_view.h"

#include "views/theme/theme.h"

#include <QAbstractAxis>
#include <QEvent>
#include <QGraphicsLayout>
#include <QLegend>
#include <QLogValueAxis>
#include <QMouseEvent>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {
constexpr double kLabelPadding = 8; // pixels that the chart wants around the number of a tick
} // namespace

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
    fresh->legend()->layout()->setContentsMargins(0, 0, 0, 0); // the layout's own are a line of text
    fresh->setLocalizeNumbers(true);
    connect(fresh, &QChart::plotAreaChanged, this, &ChartView::thinOutPowers);
    m_caption.clear();
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
    chart()->setTitleFont(small);
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
    showTitlesWhereTheyFit();
}

void ChartView::showTitlesWhereTheyFit()
{
    // In a small view the titles would leave no room for the numbers, which then turn into dots.
    const int line = fontMetrics().height();
    for (QAbstractAxis* axis : chart()->axes(Qt::Horizontal))
        axis->setTitleVisible(height() >= 10 * line);
    for (QAbstractAxis* axis : chart()->axes(Qt::Vertical))
        axis->setTitleVisible(width() >= 16 * line);
    const QString title = width() >= 16 * line && height() >= 6 * line ? m_caption : QString();
    if (title != chart()->title())
        chart()->setTitle(title);
}

void ChartView::thinOutPowers(const QRectF& plot)
{
    // Numbers that have no room turn into dots: then every second, third, … power has one.
    for (QAbstractAxis* axis : chart()->axes(Qt::Vertical)) {
        auto* powers = qobject_cast<QLogValueAxis*>(axis);
        if (!powers)
            continue;
        const double line = QFontMetricsF(axis->labelsFont()).height() + kLabelPadding;
        const double fitting = std::max(1.0, std::floor(plot.height() / line));
        const double labels = 1 + std::floor(std::log10(powers->max() / powers->min()));
        const int step = static_cast<int>(std::ceil(labels / fitting));
        powers->setBase(std::pow(10, step));
        powers->setMinorTickCount(step == 1 ? -1 : 0);
    }
}

void ChartView::resizeEvent(QResizeEvent* event)
{
    QChartView::resizeEvent(event);
    showTitlesWhereTheyFit();
}

void ChartView::setCaption(const QString& text)
{
    m_caption = text;
    showTitlesWhereTheyFit();
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

bool ChartView::isInPlot(const QPointF& point) const
{
    return chart()->plotArea().contains(point) && !chart()->series().isEmpty();
}

void ChartView::mousePressEvent(QMouseEvent* event)
{
    QChartView::mousePressEvent(event);
    if (event->button() == Qt::LeftButton && isInPlot(event->position()))
        Q_EMIT clicked(chart()->mapToValue(event->position()));
}

void ChartView::mouseMoveEvent(QMouseEvent* event)
{
    QChartView::mouseMoveEvent(event);
    const QPointF point = event->position();
    const bool inside = isInPlot(point);
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
    const Colors c = colors(palette());
    painter->save();
    painter->resetTransform();
    painter->setPen(c.dim);
    painter->drawText(viewport()->rect().adjusted(12, 12, -12, -12), Qt::AlignCenter | Qt::TextWordWrap, m_message);
    if (hasFocus()) {
        painter->setPen(QPen(c.accent, 1));
        painter->setBrush(Qt::NoBrush);
        painter->drawRect(viewport()->rect().adjusted(0, 0, -1, -1));
    }
    painter->restore();
}

void ChartView::focusInEvent(QFocusEvent* event)
{
    QChartView::focusInEvent(event);
    viewport()->update();
}

void ChartView::focusOutEvent(QFocusEvent* event)
{
    QChartView::focusOutEvent(event);
    viewport()->update();
}

} // namespace ql::views
