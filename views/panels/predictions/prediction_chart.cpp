// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/predictions/prediction_chart.h"

#include "views/charts/axes.h"
#include "views/theme/theme.h"

#include <QLegend>
#include <QLegendMarker>
#include <QLineSeries>
#include <QLogValueAxis>
#include <QScatterSeries>
#include <QToolTip>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ql::views {

namespace {

constexpr double kNearPixels = 24;
constexpr double kMarkSize = 9;
constexpr double kRingSize = 20;
constexpr std::size_t kMostIntervals = 200; // a series each: of more points only those that were predicted last

bool isDrawn(const PredictedPoint& point)
{
    return point.predicted > 0 && point.measured > 0 && std::isfinite(point.predicted) && std::isfinite(point.measured);
}

QPointF at(const PredictedPoint& point)
{
    return {point.predicted, point.measured};
}

} // namespace

PredictionChart::PredictionChart(QWidget* parent) : ChartView(parent)
{
    connect(this, &ChartView::themeChanged, this, &PredictionChart::draw, Qt::QueuedConnection);
    connect(this, &ChartView::hovered, this, [this](const QPointF& value, const QPoint& where, bool inside) {
        const int point = inside ? pointAt(value) : -1;
        if (point >= 0)
            QToolTip::showText(where, m_points[static_cast<std::size_t>(point)].tip, this);
        else
            QToolTip::hideText();
    });
    connect(this, &ChartView::clicked, this, [this](const QPointF& value) {
        if (const int point = pointAt(value); point >= 0) {
            setChosen(point);
            Q_EMIT pointChosen(point);
        }
    });
}

void PredictionChart::setPoints(std::vector<PredictedPoint> points)
{
    m_points = std::move(points);
    if (m_chosen >= static_cast<int>(m_points.size()))
        m_chosen = -1;
    draw();
}

void PredictionChart::setChosen(int point)
{
    m_chosen = point;
    drawRing();
}

QPointF PredictionChart::positionOf(int point) const
{
    return chart()->mapToPosition(at(m_points[static_cast<std::size_t>(point)]));
}

void PredictionChart::draw()
{
    m_ring = nullptr;
    newChart();
    if (std::ranges::none_of(m_points, isDrawn))
        return;
    drawIntervals();
    drawMarks(tr("inside its interval"), true, true);
    drawMarks(tr("outside"), true, false);
    drawMarks(tr("measured without a prediction"), false, false);
    m_ring = new QScatterSeries(chart());
    m_ring->setMarkerSize(kRingSize);
    m_ring->setColor(Qt::transparent);
    m_ring->setPen(QPen(colors(palette()).accent, 2));
    chart()->addSeries(m_ring);
    drawAxes();
    chart()->legend()->setVisible(true);
    chart()->legend()->setMarkerShape(QLegend::MarkerShapeFromSeries);
    chart()->legend()->setAlignment(Qt::AlignTop);
    for (QLegendMarker* marker : chart()->legend()->markers())
        if (marker->series()->name().isEmpty())
            marker->setVisible(false);
    applyTheme();
    drawRing();
}

void PredictionChart::drawIntervals()
{
    const Colors c = colors(palette());
    std::size_t drawn = 0;
    for (std::size_t i = m_points.size(); i-- > 0 && drawn < kMostIntervals;) {
        const PredictedPoint& point = m_points[i];
        if (!isDrawn(point) || !point.wasPredicted || !std::isfinite(point.high))
            continue;
        auto* line = new QLineSeries(chart());
        line->replace(QList<QPointF>{{point.predicted, std::max(point.low, point.predicted / 1000)},
                                     {point.predicted, point.high}});
        line->setPen(QPen(point.isInside ? c.dim : c.bad, 1.4));
        chart()->addSeries(line);
        ++drawn;
    }
}

void PredictionChart::drawMarks(const QString& name, bool wasPredicted, bool isInside)
{
    QList<QPointF> places;
    for (const PredictedPoint& point : m_points)
        if (isDrawn(point) && point.wasPredicted == wasPredicted && (!wasPredicted || point.isInside == isInside))
            places << at(point);
    if (places.isEmpty())
        return;
    const Colors c = colors(palette());
    const QColor ink = !wasPredicted ? c.dim : isInside ? c.series[0] : c.bad;
    auto* marks = new QScatterSeries(chart());
    marks->setName(name);
    marks->replace(places);
    marks->setMarkerShape(wasPredicted && !isInside ? QScatterSeries::MarkerShapeRotatedRectangle
                                                    : QScatterSeries::MarkerShapeCircle);
    marks->setMarkerSize(kMarkSize);
    marks->setColor(wasPredicted ? ink : c.surface);
    marks->setPen(QPen(ink, 1.6));
    chart()->addSeries(marks);
}

void PredictionChart::drawAxes()
{
    double lowest = std::numeric_limits<double>::infinity();
    double highest = 0;
    for (const PredictedPoint& point : m_points) {
        if (!isDrawn(point))
            continue;
        lowest = std::min({lowest, point.predicted, point.measured});
        highest = std::max({highest, point.predicted, point.measured});
    }
    const double low = std::pow(10, std::floor(std::log10(lowest * 0.9)));
    const double high = std::pow(10, std::ceil(std::log10(highest * 1.1)));
    auto* same = new QLineSeries(chart());
    same->setName(tr("as predicted"));
    same->replace(QList<QPointF>{{low, low}, {high, high}});
    same->setPen(QPen(colors(palette()).dim, 1, Qt::DashLine));
    chart()->addSeries(same);
    auto* x = new QLogValueAxis(chart());
    auto* y = new QLogValueAxis(chart());
    setPowerTicks(*x, low, high);
    setPowerTicks(*y, low, high);
    x->setTitleText(tr("predicted / nats per token"));
    setCaption(tr("measured / nats per token"));
    chart()->addAxis(x, Qt::AlignBottom);
    chart()->addAxis(y, Qt::AlignLeft);
    for (QAbstractSeries* series : chart()->series()) {
        series->attachAxis(x);
        series->attachAxis(y);
    }
}

void PredictionChart::drawRing()
{
    if (!m_ring)
        return;
    const bool isThere = m_chosen >= 0 && isDrawn(m_points[static_cast<std::size_t>(m_chosen)]);
    m_ring->replace(isThere ? QList<QPointF>{at(m_points[static_cast<std::size_t>(m_chosen)])} : QList<QPointF>());
}

int PredictionChart::pointAt(const QPointF& value) const
{
    int nearest = -1;
    double least = kNearPixels;
    const QPointF pointer = chart()->mapToPosition(value);
    for (std::size_t i = 0; i < m_points.size(); ++i) {
        if (!isDrawn(m_points[i]))
            continue;
        const QPointF way = chart()->mapToPosition(at(m_points[i])) - pointer;
        const double distance = std::hypot(way.x(), way.y());
        if (distance <= least) {
            least = distance;
            nearest = static_cast<int>(i);
        }
    }
    return nearest;
}

} // namespace ql::views
