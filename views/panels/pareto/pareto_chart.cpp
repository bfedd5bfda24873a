// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/pareto/pareto_chart.h"

#include "views/charts/axes.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QKeyEvent>
#include <QLegend>
#include <QLegendMarker>
#include <QLineSeries>
#include <QLogValueAxis>
#include <QMouseEvent>
#include <QScatterSeries>
#include <QToolTip>
#include <QValueAxis>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ql::views {

namespace {

constexpr double kNearPixels = 24;
constexpr double kMarkSize = 9;
constexpr double kCurrentSize = 14;
constexpr double kRingSize = 20;

QScatterSeries::MarkerShape shapeOf(ParetoKind kind)
{
    switch (kind) {
    case ParetoKind::current:
        return QScatterSeries::MarkerShapeRotatedRectangle;
    case ParetoKind::named:
        return QScatterSeries::MarkerShapeRectangle;
    default:
        return QScatterSeries::MarkerShapeCircle;
    }
}

QColor inkOf(ParetoKind kind, const Colors& c)
{
    return kind == ParetoKind::current ? c.accent : c.series[kind == ParetoKind::front ? 0 : 1];
}

} // namespace

ParetoChart::ParetoChart(QWidget* parent) : ChartView(parent)
{
    connect(this, &ChartView::themeChanged, this, &ParetoChart::draw, Qt::QueuedConnection);
    connect(this, &ChartView::hovered, this, [this](const QPointF& value, const QPoint& where, bool inside) {
        const int mark = inside ? markAt(value) : -1;
        if (mark >= 0 && m_tip)
            QToolTip::showText(where, m_tip(mark), this);
        else
            QToolTip::hideText();
    });
    connect(this, &ChartView::clicked, this, [this](const QPointF& value) {
        if (const int mark = markAt(value); mark >= 0)
            choose(mark);
    });
}

void ParetoChart::setMarks(std::vector<ParetoMark> marks, QList<QPointF> hull, const QString& sizeTitle,
                           const QString& lossTitle)
{
    m_marks = std::move(marks);
    m_hull = std::move(hull);
    m_sizeTitle = sizeTitle;
    m_lossTitle = lossTitle;
    if (m_chosen >= static_cast<int>(m_marks.size()))
        m_chosen = -1;
    draw();
}

void ParetoChart::setChosen(int mark)
{
    m_chosen = mark;
    drawRing();
}

QPointF ParetoChart::at(const ParetoMark& mark) const
{
    return {mark.size, mark.isMeasured && mark.measured > 0 ? mark.measured : mark.loss};
}

QPointF ParetoChart::positionOf(int mark) const
{
    return chart()->mapToPosition(at(m_marks[static_cast<std::size_t>(mark)]));
}

void ParetoChart::resizeEvent(QResizeEvent* event)
{
    ChartView::resizeEvent(event);
    showLegendWhereItFits();
}

void ParetoChart::showLegendWhereItFits()
{
    chart()->legend()->setVisible(std::ranges::any_of(m_marks, [this](const ParetoMark& m) { return isDrawn(m); }) &&
                                  width() >= 24 * fontMetrics().height() && height() >= 10 * fontMetrics().height());
}

void ParetoChart::draw()
{
    m_ring = nullptr;
    newChart();
    if (std::ranges::none_of(m_marks, [this](const ParetoMark& mark) { return isDrawn(mark); }))
        return;
    drawHull();
    drawFront();
    drawErrors();
    for (const bool filled : {false, true})
        drawMarks(ParetoKind::front, filled, filled ? QString() : tr("predicted"));
    drawMarks(ParetoKind::measured, true, tr("measured"));
    for (const bool filled : {false, true})
        drawMarks(ParetoKind::named, filled, filled ? QString() : tr("other plans"));
    for (const bool filled : {false, true})
        drawMarks(ParetoKind::current, filled, tr("current plan"));
    m_ring = new QScatterSeries(chart());
    m_ring->setMarkerSize(kRingSize);
    m_ring->setColor(Qt::transparent);
    m_ring->setPen(QPen(colors(palette()).accent, 2));
    chart()->addSeries(m_ring);
    drawAxes();
    showLegendWhereItFits();
    chart()->legend()->setMarkerShape(QLegend::MarkerShapeFromSeries);
    chart()->legend()->setAlignment(Qt::AlignTop);
    for (QLegendMarker* marker : chart()->legend()->markers())
        if (marker->series()->name().isEmpty())
            marker->setVisible(false);
    applyTheme();
    drawRing();
}

/// As good a plan as there is for a size: level until the next one fits.
void ParetoChart::drawFront()
{
    QList<QPointF> steps;
    for (const ParetoMark& mark : m_marks) {
        if (mark.kind != ParetoKind::front || !isDrawn(mark))
            continue;
        if (!steps.isEmpty())
            steps << QPointF(mark.size, steps.back().y());
        steps << QPointF(mark.size, mark.loss);
    }
    if (steps.size() < 2)
        return;
    auto* line = new QLineSeries(chart());
    line->setName(m_isEarlier ? tr("front of earlier losses") : tr("front"));
    line->replace(steps);
    line->setPen(QPen(colors(palette()).dim, 1.4));
    chart()->addSeries(line);
}

/// Every vertex is the best plan of its size; at most so many that drawing them costs nothing.
void ParetoChart::drawHull()
{
    constexpr qsizetype kMost = 2000;
    const qsizetype step = m_hull.size() / kMost + 1;
    QList<QPointF> drawn;
    for (qsizetype i = 0; i < m_hull.size(); i += step)
        if (m_hull[i].y() > 0)
            drawn << m_hull[i];
    if (drawn.size() < 2)
        return;
    auto* line = new QLineSeries(chart());
    line->setName(tr("convex hull"));
    line->replace(drawn);
    line->setPen(QPen(colors(palette()).dim, 1, Qt::DotLine));
    chart()->addSeries(line);
}

/// From what was predicted to what was measured, and one standard error around that.
void ParetoChart::drawErrors()
{
    const Colors c = colors(palette());
    for (const ParetoMark& mark : m_marks) {
        if (!isDrawn(mark) || !mark.isMeasured || !(mark.measured > 0))
            continue;
        const double low = std::max(mark.measured - mark.measuredError, mark.measured / 100);
        for (const auto& [from, to, pen] :
             {std::tuple(mark.loss, mark.measured, QPen(c.dim, 1, Qt::DotLine)),
              std::tuple(low, mark.measured + mark.measuredError, QPen(inkOf(mark.kind, c), 1.6))}) {
            auto* line = new QLineSeries(chart());
            line->replace(QList<QPointF>{{mark.size, from}, {mark.size, to}});
            line->setPen(pen);
            chart()->addSeries(line);
        }
    }
}

void ParetoChart::drawMarks(ParetoKind kind, bool filled, const QString& name)
{
    QList<QPointF> points;
    for (const ParetoMark& mark : m_marks)
        if (mark.kind == kind && mark.isMeasured == filled && isDrawn(mark))
            points << at(mark);
    if (points.isEmpty())
        return;
    const Colors c = colors(palette());
    const QColor ink = kind == ParetoKind::front && m_isEarlier ? c.dim : inkOf(kind, c);
    auto* marks = new QScatterSeries(chart());
    marks->setName(name);
    marks->replace(points);
    marks->setMarkerShape(shapeOf(kind));
    marks->setMarkerSize(kind == ParetoKind::current ? kCurrentSize : kMarkSize);
    marks->setColor(filled ? ink : c.surface);
    marks->setPen(QPen(ink, 1.6));
    chart()->addSeries(marks);
}

void ParetoChart::drawAxes()
{
    double smallest = std::numeric_limits<double>::infinity();
    double largest = 0;
    double lowest = smallest;
    double highest = 0;
    int exact = 0;
    for (const ParetoMark& mark : m_marks) {
        if (!isDrawn(mark)) {
            exact += mark.loss == 0 ? 1 : 0;
            continue;
        }
        smallest = std::min(smallest, mark.size);
        largest = std::max(largest, mark.size);
        for (const double loss : {mark.loss, mark.measured}) {
            if (!(loss > 0))
                continue;
            lowest = std::min(lowest, loss);
            highest = std::max(highest, loss);
        }
    }
    constexpr double kMargin = 0.04; // of the range, so that no mark is cut
    const double margin = kMargin * std::max(largest - smallest, 0.02 * largest);
    auto* x = new QValueAxis(chart());
    setRoundTicks(*x, smallest - margin, largest + margin, 5);
    x->setTitleText(exact == 0 ? m_sizeTitle
                               : tr("%1   (%2 of no loss: 0 is not on this axis)").arg(m_sizeTitle).arg(exact));
    auto* y = new QLogValueAxis(chart());
    setPowerTicks(*y, std::pow(10, std::floor(std::log10(lowest * 0.9))),
                  std::pow(10, std::ceil(std::log10(highest * 1.1))));
    setCaption(m_lossTitle);
    chart()->addAxis(x, Qt::AlignBottom);
    chart()->addAxis(y, Qt::AlignLeft);
    for (QAbstractSeries* series : chart()->series()) {
        series->attachAxis(x);
        series->attachAxis(y);
    }
}

void ParetoChart::drawRing()
{
    if (!m_ring)
        return;
    const bool isThere = m_chosen >= 0 && isDrawn(m_marks[static_cast<std::size_t>(m_chosen)]);
    m_ring->replace(isThere ? QList<QPointF>{at(m_marks[static_cast<std::size_t>(m_chosen)])} : QList<QPointF>());
}

int ParetoChart::markAt(const QPointF& value) const
{
    int nearest = -1;
    double least = kNearPixels;
    const QPointF pointer = chart()->mapToPosition(value);
    for (std::size_t i = 0; i < m_marks.size(); ++i) {
        if (!isDrawn(m_marks[i]))
            continue;
        const QPointF way = chart()->mapToPosition(at(m_marks[i])) - pointer;
        const double distance = std::hypot(way.x(), way.y());
        if (distance <= least) { // of marks on one another the one on top
            least = distance;
            nearest = static_cast<int>(i);
        }
    }
    return nearest;
}

void ParetoChart::choose(int mark)
{
    setChosen(mark);
    Q_EMIT markChosen(mark);
}

/// Along the front, from the mark that is chosen or the plan that is edited.
void ParetoChart::step(int direction)
{
    const auto from =
        m_chosen >= 0 ? m_marks.begin() + m_chosen : std::ranges::find(m_marks, ParetoKind::current, &ParetoMark::kind);
    const double size = from == m_marks.end() ? -std::numeric_limits<double>::infinity() : from->size;
    int next = -1;
    for (std::size_t i = 0; i < m_marks.size(); ++i) {
        const ParetoMark& mark = m_marks[i];
        if (mark.kind != ParetoKind::front || static_cast<int>(i) == m_chosen || !isDrawn(mark))
            continue;
        const bool isBeyond = direction > 0 ? mark.size > size : mark.size < size;
        if (isBeyond && (next < 0 || direction < 0)) // the nearest: they rise
            next = static_cast<int>(i);
    }
    if (next >= 0)
        choose(next);
}

void ParetoChart::mouseDoubleClickEvent(QMouseEvent* event)
{
    ChartView::mouseDoubleClickEvent(event);
    if (event->button() != Qt::LeftButton)
        return;
    if (const int mark = markAt(chart()->mapToValue(event->position())); mark >= 0) {
        choose(mark);
        Q_EMIT markAdopted(mark);
    }
}

void ParetoChart::keyPressEvent(QKeyEvent* event)
{
    switch (event->key()) {
    case Qt::Key_Left:
        step(-1);
        return;
    case Qt::Key_Right:
        step(1);
        return;
    case Qt::Key_Home:
    case Qt::Key_End: {
        const bool first = event->key() == Qt::Key_Home;
        int end = -1;
        for (std::size_t i = 0; i < m_marks.size(); ++i)
            if (m_marks[i].kind == ParetoKind::front && isDrawn(m_marks[i]) && (end < 0 || !first))
                end = static_cast<int>(i);
        if (end >= 0)
            choose(end);
        return;
    }
    case Qt::Key_Return:
    case Qt::Key_Enter:
        if (m_chosen >= 0)
            Q_EMIT markAdopted(m_chosen);
        return;
    case Qt::Key_Escape:
        if (m_chosen >= 0) {
            choose(-1);
            return;
        }
        break;
    default:
        break;
    }
    ChartView::keyPressEvent(event);
}

} // namespace ql::views
