// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/charts/histogram_series.h"

#include <QAreaSeries>
#include <QChart>
#include <QLineSeries>

#include <algorithm>

namespace ql::views {

namespace {
constexpr double kApart = 3; // pixels
} // namespace

QList<QPointF> histogramSteps(const Histogram& histogram, double floor)
{
    QList<QPointF> points;
    points.reserve(static_cast<qsizetype>(histogram.counts.size() * 2));
    const double width = histogram.binWidth();
    for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
        const double y = std::max(static_cast<double>(histogram.counts[i]), floor);
        const double x = histogram.min + static_cast<double>(i) * width;
        points << QPointF(x, y) << QPointF(x + width, y);
    }
    return points;
}

QAreaSeries* addHistogram(QChart& chart, const Histogram& histogram, double floor, const QColor& color,
                          const QString& name)
{
    auto* upper = new QLineSeries(&chart);
    auto* lower = new QLineSeries(&chart);
    upper->replace(histogramSteps(histogram, floor));
    lower->replace(QList<QPointF>{{histogram.min, floor}, {histogram.max, floor}});
    auto* area = new QAreaSeries(upper, lower);
    area->setName(name);
    QColor fill = color;
    fill.setAlpha(120);
    area->setBrush(fill);
    area->setPen(QPen(color, 1));
    chart.addSeries(area);
    return area;
}

QList<QPointF> levelTicks(std::span<const double> levels, const Histogram& range, double floor, double top,
                          int plotPixels)
{
    QList<QPointF> points;
    if (levels.size() < 2 || !(range.max > range.min))
        return points;
    const double apart = (levels.back() - levels.front()) / static_cast<double>(levels.size());
    if (apart * std::max(1, plotPixels) / (range.max - range.min) < kApart)
        return points;
    for (const double level : levels) {
        if (level >= range.min && level <= range.max)
            points << QPointF(level, floor) << QPointF(level, top) << QPointF(level, floor);
    }
    return points;
}

} // namespace ql::views
