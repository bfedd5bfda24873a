// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/curves/crest_chart.h"

#include "views/charts/axes.h"
#include "views/charts/chart_view.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QCoreApplication>
#include <QLegend>
#include <QLegendMarker>
#include <QLineSeries>
#include <QScatterSeries>
#include <QValueAxis>

#include <algorithm>
#include <cmath>
#include <optional>

namespace ql::views {

namespace {

constexpr double kFrom = 1; // a block of equal magnitudes
constexpr double kTo = 9;   // beyond the last crossover
constexpr int kSteps = 160;
constexpr double kShownDb = 16; // more than this at either side is decided anyway

QString tr(const char* text)
{
    return QCoreApplication::translate("CrestChart", text);
}

double gainDb(const Crossover& pair, double crestFactor)
{
    const PairQsnr qsnr = theoreticalQsnrDb(pair, crestFactor);
    return qsnr.integerDb - qsnr.minifloatDb;
}

double crestOf(const ErrorCurves& layer, const Crossover& pair)
{
    return pair.block == 16 ? layer.crestFactor16 : layer.crestFactor32;
}

std::optional<double> measuredSqnr(const ErrorCurves& layer, std::string_view scheme)
{
    for (const ErrorCurve& curve : layer.curves) {
        for (const CurvePoint& point : curve.points) {
            if (point.scheme == scheme && std::isfinite(point.sqnrDb))
                return point.sqnrDb;
        }
    }
    return std::nullopt;
}

std::optional<double> measuredGain(const ErrorCurves& layer, const Crossover& pair)
{
    const auto integer = measuredSqnr(layer, pair.integer);
    const auto minifloat = measuredSqnr(layer, pair.minifloat);
    return integer && minifloat ? std::optional(*integer - *minifloat) : std::nullopt;
}

QScatterSeries* addMarks(QChart& chart, const QList<QPointF>& points, QScatterSeries::MarkerShape shape, double size,
                         const QColor& fill, const QColor& border)
{
    auto* marks = new QScatterSeries(&chart);
    marks->replace(points);
    marks->setMarkerShape(shape);
    marks->setMarkerSize(size);
    marks->setColor(fill);
    marks->setBorderColor(border);
    chart.addSeries(marks);
    return marks;
}

void hideFromLegend(QChart& chart, QAbstractSeries* series)
{
    for (QLegendMarker* marker : chart.legend()->markers(series))
        marker->setVisible(false);
}

} // namespace

void drawCrestChart(ChartView& view, const ErrorCurves& layer)
{
    QChart& chart = *view.newChart();
    const Colors c = colors(view.palette());
    const std::vector<Crossover> pairs = crestFactorCrossovers();
    auto* zero = new QLineSeries(&chart);
    zero->replace(QList<QPointF>{{kFrom, 0}, {kTo, 0}});
    zero->setPen(QPen(c.text, 1.2));
    chart.addSeries(zero);
    hideFromLegend(chart, zero);
    double lowest = -1;
    double highest = 1;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        QList<QPointF> points;
        // A block of g has at most √g; a crossover beyond that is shown all the same.
        const double end = std::min(kTo, std::max(std::sqrt(pairs[i].block), pairs[i].crestFactor + 1));
        for (int k = 0; k <= kSteps; ++k) {
            const double crest = kFrom + (end - kFrom) * k / kSteps;
            const double gain = gainDb(pairs[i], crest);
            points << QPointF(crest, gain);
            lowest = std::min(lowest, gain);
            highest = std::max(highest, gain);
        }
        auto* line = new QLineSeries(&chart);
        line->setName(
            QStringLiteral("%1 \u00b7 %2").arg(toQString(pairs[i].integer), fixedText(pairs[i].crestFactor, 2)));
        line->replace(points);
        static constexpr Qt::PenStyle kStyles[] = {Qt::SolidLine, Qt::DashLine, Qt::DotLine, Qt::DashDotLine};
        line->setPen(QPen(c.series[i % c.series.size()], 1.8, kStyles[i % std::size(kStyles)]));
        chart.addSeries(line);
        hideFromLegend(chart, addMarks(chart, {{pairs[i].crestFactor, 0}}, QScatterSeries::MarkerShapeCircle, 8,
                                       c.surface, c.series[i % c.series.size()]));
        const auto measured = measuredGain(layer, pairs[i]);
        if (!measured)
            continue;
        hideFromLegend(chart, addMarks(chart, {{crestOf(layer, pairs[i]), *measured}},
                                       QScatterSeries::MarkerShapeRotatedRectangle, 11, c.series[i % c.series.size()],
                                       c.text));
        lowest = std::min(lowest, *measured);
        highest = std::max(highest, *measured);
    }
    auto* x = new QValueAxis(&chart);
    setRoundTicks(*x, kFrom, kTo, static_cast<int>(kTo - kFrom));
    x->setTitleText(tr("crest factor max|w|/RMS   ○ crossover  ◆ this layer"));
    auto* y = new QValueAxis(&chart);
    setRoundTicks(*y, std::max(-kShownDb, std::floor(lowest)), std::min(kShownDb, std::ceil(highest)), 5);
    y->setTitleText(tr("INT − FP / dB"));
    chart.addAxis(x, Qt::AlignBottom);
    chart.addAxis(y, Qt::AlignLeft);
    for (QAbstractSeries* series : chart.series()) {
        series->attachAxis(x);
        series->attachAxis(y);
    }
    chart.legend()->setVisible(true);
    chart.legend()->setMarkerShape(QLegend::MarkerShapeFromSeries); // dashes tell lines apart
    chart.legend()->setAlignment(Qt::AlignTop);
    view.applyTheme();
}

QString crestTip(double crestFactor)
{
    QStringList lines{tr("crest factor %1").arg(fixedText(crestFactor, 2))};
    for (const Crossover& pair : crestFactorCrossovers()) {
        const double gain = gainDb(pair, crestFactor);
        lines << tr("%1 better by %2 dB")
                     .arg(toQString(gain >= 0 ? pair.integer : pair.minifloat), fixedText(std::fabs(gain), 1));
    }
    return lines.join(QLatin1Char('\n'));
}

ViewTable crestTable(const ErrorCurves& layer)
{
    ViewTable table{{QStringLiteral("integer"), QStringLiteral("minifloat"), QStringLiteral("crossover"),
                     QStringLiteral("crest_factor"), QStringLiteral("theory_db"), QStringLiteral("measured_db")},
                    {}};
    for (const Crossover& pair : crestFactorCrossovers()) {
        const double crest = crestOf(layer, pair);
        const auto measured = measuredGain(layer, pair);
        table.rows.push_back({toQString(pair.integer), toQString(pair.minifloat), plainNumber(pair.crestFactor),
                              plainNumber(crest), crest > 0 ? plainNumber(gainDb(pair, crest)) : QString(),
                              measured ? plainNumber(*measured) : QString()});
    }
    return table;
}

QString crestWinners(const ErrorCurves& layer)
{
    QStringList winners;
    for (const Crossover& pair : crestFactorCrossovers())
        winners << toQString(crestOf(layer, pair) < pair.crestFactor ? pair.integer : pair.minifloat);
    return winners.join(QStringLiteral(", "));
}

} // namespace ql::views
