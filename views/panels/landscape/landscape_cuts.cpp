// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/landscape/landscape_cuts.h"

#include "views/charts/axes.h"
#include "views/theme/theme.h"

#include <QLegend>
#include <QLineSeries>
#include <QScatterSeries>
#include <QValueAxis>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr int kLinePoints = 101; // of a parabola
constexpr double kMarkSize = 8;
constexpr QScatterSeries::MarkerShape kShapes[] = {QScatterSeries::MarkerShapeCircle,
                                                   QScatterSeries::MarkerShapeRectangle};

} // namespace

LandscapeCuts::LandscapeCuts(QWidget* parent) : ChartView(parent)
{
    setAccessibleName(tr("Loss along the two eigenvectors, measured and to second order"));
    setObjectName(QStringLiteral("landscapeCuts"));
    connect(this, &ChartView::themeChanged, this, &LandscapeCuts::draw, Qt::QueuedConnection);
}

void LandscapeCuts::setLandscape(const Landscape* landscape)
{
    m_landscape = landscape ? std::optional(*landscape) : std::nullopt;
    draw();
}

void LandscapeCuts::resizeEvent(QResizeEvent* event)
{
    ChartView::resizeEvent(event);
    showLegendWhereItFits();
}

void LandscapeCuts::showLegendWhereItFits()
{
    chart()->legend()->setVisible(m_landscape && width() >= 16 * fontMetrics().height());
}

void LandscapeCuts::draw()
{
    newChart();
    if (!m_landscape)
        return;
    m_low = 0;
    m_high = 0;
    addCut(0);
    addCut(1);
    addAxes();
    setCaption(tr("L − L(0, 0), nats per token"));
    chart()->legend()->setMarkerShape(QLegend::MarkerShapeFromSeries);
    chart()->legend()->setAlignment(Qt::AlignTop);
    showLegendWhereItFits();
    applyTheme();
}

void LandscapeCuts::addCut(std::size_t axis)
{
    const Landscape& its = *m_landscape;
    const QColor ink = colors(palette()).series[axis];
    const QString name = axis == 0 ? QStringLiteral("a") : QStringLiteral("b");
    const auto percent = [&](double distance) { return 100 * its.share(distance); };
    if (its.isWhole()) {
        QList<QPointF> points;
        const double most = its.steps.back();
        for (int i = 0; i < kLinePoints; ++i) {
            const double at = most * (2.0 * i / (kLinePoints - 1) - 1);
            points << QPointF(percent(at), axis == 0 ? its.parabola(at, 0) : its.parabola(0, at));
        }
        auto* line = new QLineSeries(chart());
        line->setName(tr("%1, parabola").arg(name));
        line->replace(points);
        line->setPen(QPen(ink, 1.8, axis == 0 ? Qt::SolidLine : Qt::DashLine));
        chart()->addSeries(line);
    }
    QList<QPointF> points;
    for (int i = 0; i < its.points(); ++i) {
        const double difference = axis == 0 ? its.difference(i, its.middle()) : its.difference(its.middle(), i);
        if (std::isnan(difference))
            continue;
        points << QPointF(percent(its.steps[static_cast<std::size_t>(i)]), difference);
        m_low = std::min(m_low, difference);
        m_high = std::max(m_high, difference);
    }
    auto* marks = new QScatterSeries(chart());
    marks->setName(tr("%1, measured").arg(name));
    marks->replace(points);
    marks->setMarkerShape(kShapes[axis]);
    marks->setMarkerSize(kMarkSize);
    marks->setColor(ink);
    marks->setBorderColor(colors(palette()).surface);
    chart()->addSeries(marks);
}

void LandscapeCuts::addAxes()
{
    const Landscape& its = *m_landscape;
    const double most = 100 * its.share(its.steps.back());
    auto* x = new QValueAxis(chart());
    setRoundTicks(*x, -1.05 * most, 1.05 * most, 5);
    x->setTitleText(tr("a or b, in % of the weights' norm"));
    auto* y = new QValueAxis(chart());
    // A parabola that goes far beyond what is measured leaves the plot.
    const double room = m_high > m_low ? m_high - m_low : 1e-6;
    double low = m_low;
    double high = m_high;
    if (its.isWhole())
        for (const double at : {-its.steps.back(), its.steps.back()})
            for (const double value : {its.parabola(at, 0), its.parabola(0, at)}) {
                low = std::min(low, std::max(value, m_low - room));
                high = std::max(high, std::min(value, m_high + room));
            }
    setRoundTicks(*y, low - 0.05 * (high - low), high + 0.05 * (high - low), 4);
    chart()->addAxis(x, Qt::AlignBottom);
    chart()->addAxis(y, Qt::AlignLeft);
    for (QAbstractSeries* series : chart()->series()) {
        series->attachAxis(x);
        series->attachAxis(y);
    }
}

} // namespace ql::views
