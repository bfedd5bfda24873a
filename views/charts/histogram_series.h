// SPDX-License-Identifier: GPL-3.0-or-later
// Histograms as series of a chart.
#pragma once

#include "core/analysis/histogram.h"

#include <QList>
#include <QPointF>

#include <span>

class QAreaSeries;
class QChart;
class QColor;
class QString;

namespace ql::views {

constexpr std::size_t kShownBins = 256;
constexpr double kLogFloor = 0.5; // a logarithmic axis cannot show an empty bin

/// Steps as the corners of a line.
QList<QPointF> histogramSteps(const Histogram& histogram, double floor);
/// The histogram as a filled area, added to the chart.
QAreaSeries* addHistogram(QChart& chart, const Histogram& histogram, double floor, const QColor& color,
                          const QString& name);
/// A line of ticks from `floor` up to `top` at the levels within the histogram's range; empty if levels would be less
/// than 3 pixels apart on a plot that wide.
QList<QPointF> levelTicks(std::span<const double> levels, const Histogram& range, double floor, double top,
                          int plotPixels);

} // namespace ql::views
