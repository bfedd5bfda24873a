// SPDX-License-Identifier: GPL-3.0-or-later
// What is written in a chart, and whether its caption can be read.
#pragma once

#include "views/charts/chart_view.h"

#include <QGraphicsTextItem>

#include <algorithm>
#include <vector>

namespace ql::test {

inline std::vector<const QGraphicsTextItem*> visibleTexts(const views::ChartView& chart)
{
    std::vector<const QGraphicsTextItem*> texts;
    for (const QGraphicsItem* item : chart.scene()->items())
        if (const auto* text = qgraphicsitem_cast<const QGraphicsTextItem*>(item);
            text && text->isVisible() && !text->toPlainText().isEmpty())
            texts.push_back(text);
    return texts;
}

/// Whether the text stands in it once, whole, level and beside the plot.
inline bool hasCaption(const views::ChartView& chart, const QString& caption)
{
    const auto texts = visibleTexts(chart);
    const auto isCaption = [&](const QGraphicsTextItem* text) { return text->toPlainText() == caption; };
    if (std::ranges::count_if(texts, isCaption) != 1)
        return false;
    const QRectF place = (*std::ranges::find_if(texts, isCaption))->sceneBoundingRect();
    return place.width() > place.height() && chart.sceneRect().contains(place) &&
           !place.intersects(chart.chart()->plotArea());
}

} // namespace ql::test
