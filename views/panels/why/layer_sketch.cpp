// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/why/layer_sketch.h"

#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QPainter>
#include <QPainterPath>

#include <algorithm>
#include <cmath>

namespace ql::views {

LayerSketch::LayerSketch(QWidget* parent) : QWidget(parent)
{
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    setAccessibleName(tr("Weights of the layer, and losses of its candidates"));
}

void LayerSketch::setWeights(const Histogram& histogram, double threshold)
{
    m_histogram = histogram;
    m_threshold = threshold;
    update();
}

void LayerSketch::setLosses(std::vector<SketchPoint> points)
{
    m_points = std::move(points);
    m_isAsked = true;
    std::erase_if(m_points, [](const SketchPoint& p) { return !(p.loss > 0) || !std::isfinite(p.loss); });
    update();
}

void LayerSketch::clear()
{
    m_histogram = {};
    m_points.clear();
    m_isAsked = false;
    update();
}

void LayerSketch::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    const Colors c = colors(palette());
    painter.fillRect(rect(), c.surface);
    const int line = fontMetrics().height();
    const double half = width() / 2.0;
    const QRectF left(6, line + 2, half - 12, height() - 2 * line - 6);
    const QRectF right(half + 6, line + 2, half - 12, height() - 2 * line - 6);
    if (left.height() < 4 || left.width() < 8)
        return;
    painter.setPen(c.dim);
    const auto title = [&](const QRectF& box, const QString& text) {
        painter.drawText(QRectF(box.left(), 0, box.width(), line), Qt::AlignLeft,
                         fontMetrics().elidedText(text, Qt::ElideRight, static_cast<int>(box.width())));
    };
    title(left, tr("weights, log count"));
    title(right, tr("log loss over bits"));
    if (!m_histogram.counts.empty())
        paintWeights(painter, left);
    if (!m_points.empty())
        paintLosses(painter, right);
    else if (m_isAsked)
        painter.drawText(right, Qt::AlignCenter | Qt::TextWordWrap, tr("No loss above 0 is known."));
}

void LayerSketch::paintWeights(QPainter& painter, const QRectF& box) const
{
    const Colors c = colors(palette());
    const auto& counts = m_histogram.counts;
    const double top = std::log1p(static_cast<double>(std::max<std::int64_t>(1, std::ranges::max(counts))));
    const double step = box.width() / static_cast<double>(counts.size());
    for (std::size_t i = 0; i < counts.size(); ++i) {
        const double middle = m_histogram.min + (static_cast<double>(i) + 0.5) * m_histogram.binWidth();
        const bool isOutlier = m_threshold > 0 && std::fabs(middle) > m_threshold;
        const double height = std::log1p(static_cast<double>(counts[i])) / top * box.height();
        painter.fillRect(QRectF(box.left() + static_cast<double>(i) * step, box.bottom() - height, step + 0.5, height),
                         isOutlier ? c.warn : c.series[0]);
    }
    painter.setPen(c.dim);
    const QRectF labels(box.left(), box.bottom() + 1, box.width(), fontMetrics().height());
    painter.drawText(labels, Qt::AlignLeft, numberText(m_histogram.min, 2));
    painter.drawText(labels, Qt::AlignRight, numberText(m_histogram.max, 2));
}

void LayerSketch::paintLosses(QPainter& painter, const QRectF& box) const
{
    const Colors c = colors(palette());
    const auto [least, most] = std::ranges::minmax(m_points, {}, &SketchPoint::loss);
    const auto [fewest, largest] = std::ranges::minmax(m_points, {}, &SketchPoint::bits);
    const double low = std::log10(least.loss);
    const double high = std::max(std::log10(most.loss), low + 1e-6);
    const double width = std::max(largest.bits - fewest.bits, 1e-6);
    const auto at = [&, fewestBits = fewest.bits](const SketchPoint& point) {
        return QPointF(box.left() + 3 + (point.bits - fewestBits) / width * (box.width() - 6),
                       box.bottom() - 3 - (std::log10(point.loss) - low) / (high - low) * (box.height() - 6));
    };
    QPainterPath path(at(m_points.front()));
    for (const SketchPoint& point : m_points)
        path.lineTo(at(point));
    painter.setPen(QPen(c.dim, 1));
    painter.drawPath(path);
    for (const SketchPoint& point : m_points) {
        painter.setPen(QPen(point.isPlanned ? c.accent : c.series[0], 1.4));
        painter.setBrush(point.isPlanned ? c.accent : c.surface);
        painter.drawEllipse(at(point), point.isPlanned ? 4 : 2.5, point.isPlanned ? 4 : 2.5);
    }
    painter.setPen(c.dim);
    const QRectF labels(box.left(), box.bottom() + 1, box.width(), fontMetrics().height());
    painter.drawText(labels, Qt::AlignLeft, fixedText(fewest.bits, 1));
    painter.drawText(labels, Qt::AlignRight, fixedText(largest.bits, 1));
}

} // namespace ql::views
