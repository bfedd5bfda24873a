// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/bench/bench_chart.h"

#include "views/charts/axes.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QLegend>
#include <QLegendMarker>
#include <QLineSeries>
#include <QLogValueAxis>
#include <QScatterSeries>
#include <QToolTip>
#include <QValueAxis>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace ql::views {

namespace {

constexpr double kNearPixels = 24;
constexpr double kMarkSize = 9;
constexpr double kRingSize = 18;
constexpr double kFirstVariantSize = 12; // beneath those of the others, which often lie almost there
constexpr double kVariantSize = 8;

constexpr QScatterSeries::MarkerShape kShapes[] = {
    QScatterSeries::MarkerShapeCircle,   QScatterSeries::MarkerShapeRotatedRectangle,
    QScatterSeries::MarkerShapeTriangle, QScatterSeries::MarkerShapeRectangle,
    QScatterSeries::MarkerShapeStar,     QScatterSeries::MarkerShapePentagon};

QPointF at(const BenchPoint& point)
{
    return {point.bits, point.error};
}

bool hasVariants(const std::vector<BenchPoint>& points)
{
    return std::ranges::any_of(points,
                               [&](const BenchPoint& point) { return point.transform != points.front().transform; });
}

} // namespace

BenchChart::BenchChart(QWidget* parent) : ChartView(parent)
{
    connect(this, &ChartView::themeChanged, this, &BenchChart::draw, Qt::QueuedConnection);
    connect(this, &ChartView::hovered, this, [this](const QPointF& value, const QPoint& where, bool inside) {
        const BenchPoint* point = inside ? pointAt(value) : nullptr;
        if (point)
            QToolTip::showText(where,
                               tr("%1\n%2 bits per weight\n%3 %4")
                                   .arg(hasVariants(m_points)
                                            ? tr("%1, transform %2").arg(point->candidate, point->transform)
                                            : point->candidate,
                                        fixedText(point->bits, 3), m_errorTitle, numberText(point->error)),
                               this);
        else
            QToolTip::hideText();
        Q_EMIT pointHovered(point ? point->row : -1);
    });
    connect(this, &ChartView::clicked, this, [this](const QPointF& value) {
        if (const BenchPoint* point = pointAt(value))
            Q_EMIT pointClicked(point->row);
    });
}

void BenchChart::setPoints(std::vector<BenchPoint> points, const QString& errorTitle)
{
    const auto exact = std::ranges::partition(
        points, [](const BenchPoint& point) { return point.error > 0 && std::isfinite(point.error); });
    m_exact = static_cast<int>(exact.size());
    points.erase(exact.begin(), exact.end());
    std::ranges::sort(points, {}, &BenchPoint::row);
    m_points = std::move(points);
    m_errorTitle = errorTitle;
    draw();
}

void BenchChart::setHighlighted(int row)
{
    m_highlighted = row;
    drawRing();
}

void BenchChart::resizeEvent(QResizeEvent* event)
{
    ChartView::resizeEvent(event);
    showLegendWhereItFits();
}

void BenchChart::showLegendWhereItFits()
{
    chart()->legend()->setVisible(!m_points.empty() && width() >= 16 * fontMetrics().height());
}

void BenchChart::draw()
{
    m_ring = nullptr;
    newChart();
    if (m_points.empty())
        return;
    const Colors c = colors(palette());
    drawFront(c.dim);
    if (hasVariants(m_points))
        drawVariants();
    else
        drawQuantizers();
    m_ring = new QScatterSeries(chart());
    m_ring->setMarkerSize(kRingSize);
    m_ring->setColor(Qt::transparent);
    m_ring->setBorderColor(c.accent);
    m_ring->setPen(QPen(c.accent, 2));
    chart()->addSeries(m_ring);
    drawAxes();
    showLegendWhereItFits();
    chart()->legend()->setMarkerShape(QLegend::MarkerShapeFromSeries);
    chart()->legend()->setAlignment(Qt::AlignTop);
    for (QLegendMarker* marker : chart()->legend()->markers(m_ring))
        marker->setVisible(false);
    applyTheme();
    drawRing();
}

void BenchChart::drawFront(const QColor& color)
{
    QList<QPointF> points;
    for (const BenchPoint& point : m_points)
        if (point.onFront)
            points << at(point);
    std::ranges::sort(points, {}, &QPointF::x);
    if (points.isEmpty())
        return;
    auto* line = new QLineSeries(chart());
    line->setName(tr("front"));
    line->replace(points);
    line->setPen(QPen(color, 1.4));
    chart()->addSeries(line);
}

QScatterSeries* BenchChart::addMarks(const QString& name, std::size_t shape, std::size_t color,
                                     const QList<QPointF>& points)
{
    const Colors c = colors(palette());
    const QColor ink = c.series[color % c.series.size()];
    const bool isHollow = color / c.series.size() % 2 == 1;
    auto* marks = new QScatterSeries(chart());
    marks->setName(name);
    marks->replace(points);
    marks->setMarkerShape(kShapes[shape % std::size(kShapes)]);
    marks->setMarkerSize(kMarkSize);
    marks->setColor(isHollow ? c.surface : ink);
    marks->setBorderColor(isHollow ? ink : c.surface); // marks on one another stay apart
    chart()->addSeries(marks);
    return marks;
}

void BenchChart::drawVariants()
{
    // Transforms in the order they were tried, so that a colour stays while entries arrive.
    std::map<QString, std::size_t> shapes;
    std::map<QString, std::size_t> inks;
    QStringList transforms;
    std::map<std::pair<std::size_t, QString>, QList<QPointF>> marks; // in that order, one over the other
    for (const BenchPoint& point : m_points) {
        shapes.try_emplace(point.quantizer, 0);
        if (inks.try_emplace(point.transform, inks.size()).second)
            transforms << point.transform;
        marks[{inks[point.transform], point.quantizer}] << at(point);
    }
    std::size_t next = 0;
    for (auto& [quantizer, shape] : shapes)
        shape = next++;
    for (const auto& [key, points] : marks) {
        QScatterSeries* series = addMarks({}, shapes[key.second], key.first, points);
        series->setMarkerSize(key.first == 0 ? kFirstVariantSize : kVariantSize);
        for (QLegendMarker* marker : chart()->legend()->markers(series))
            marker->setVisible(false);
    }
    // The legend: colours by a series without points each, then shapes in the colour of secondary text.
    for (const QString& transform : transforms)
        addMarks(transform, 0, inks[transform], {});
    const Colors c = colors(palette());
    if (shapes.size() > 1)
        for (const auto& [quantizer, shape] : shapes)
            addMarks(quantizer, shape, 0, {})->setColor(c.dim);
}

void BenchChart::drawQuantizers()
{
    std::map<QString, QList<QPointF>> byQuantizer;
    for (const BenchPoint& point : m_points)
        byQuantizer[point.quantizer] << at(point);
    std::size_t index = 0;
    for (const auto& [quantizer, points] : byQuantizer) {
        addMarks(quantizer, index, index, points);
        ++index;
    }
}

void BenchChart::drawAxes()
{
    double leastBits = std::numeric_limits<double>::infinity();
    double mostBits = 0;
    double lowest = leastBits;
    double highest = 0;
    for (const BenchPoint& point : m_points) {
        leastBits = std::min(leastBits, point.bits);
        mostBits = std::max(mostBits, point.bits);
        lowest = std::min(lowest, point.error);
        highest = std::max(highest, point.error);
    }
    constexpr double kMargin = 0.25; // bits, so that no mark is cut
    auto* x = new QValueAxis(chart());
    setRoundTicks(*x, std::floor((leastBits - kMargin) * 2) / 2, std::ceil((mostBits + kMargin) * 2) / 2, 5);
    x->setTitleText(m_exact == 0 ? tr("bits per weight")
                                 : tr("bits per weight   (%n exact: error 0 is not on this axis)", nullptr, m_exact));
    auto* y = new QLogValueAxis(chart());
    setPowerTicks(*y, std::pow(10, std::floor(std::log10(lowest * 0.9))),
                  std::pow(10, std::ceil(std::log10(highest * 1.1))));
    setCaption(m_errorTitle);
    chart()->addAxis(x, Qt::AlignBottom);
    chart()->addAxis(y, Qt::AlignLeft);
    for (QAbstractSeries* series : chart()->series()) {
        series->attachAxis(x);
        series->attachAxis(y);
    }
}

void BenchChart::drawRing()
{
    if (!m_ring)
        return;
    const auto found = std::ranges::find(m_points, m_highlighted, &BenchPoint::row);
    m_ring->replace(found == m_points.end() ? QList<QPointF>() : QList<QPointF>{at(*found)});
}

const BenchPoint* BenchChart::pointAt(const QPointF& value) const
{
    const BenchPoint* nearest = nullptr;
    double least = kNearPixels;
    const QPointF pointer = chart()->mapToPosition(value);
    for (const BenchPoint& point : m_points) {
        const QPointF way = chart()->mapToPosition(at(point)) - pointer;
        const double distance = std::hypot(way.x(), way.y());
        if (distance < least) {
            least = distance;
            nearest = &point;
        }
    }
    return nearest;
}

} // namespace ql::views
