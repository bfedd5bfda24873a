// SPDX-License-Identifier: GPL-3.0-or-later
// What plans were predicted at against what they measured, both on logarithmic axes: a bar from the lower to the upper
// end of each interval, the line where both are equal, filled marks where the plan was predicted before it was
// measured, in the colour of problems where it was outside. A click chooses a mark. What is not above 0 has no place.
#pragma once

#include "views/charts/chart_view.h"

#include <vector>

class QScatterSeries;

namespace ql::views {

struct PredictedPoint {
    double predicted = 0, low = 0, high = 0;
    double measured = 0;
    bool wasPredicted = false; // before it was measured
    bool isInside = false;
    QString tip;
};

class PredictionChart : public ChartView {
    Q_OBJECT
public:
    explicit PredictionChart(QWidget* parent = nullptr);

    void setPoints(std::vector<PredictedPoint> points);
    /// Rings the point; −1: none.
    void setChosen(int point);
    int chosen() const { return m_chosen; }
    /// Where the point is drawn, in pixels of the viewport.
    QPointF positionOf(int point) const;

Q_SIGNALS:
    void pointChosen(int point);

private:
    void draw();
    void drawIntervals();
    void drawMarks(const QString& name, bool wasPredicted, bool isInside);
    void drawAxes();
    void drawRing();
    int pointAt(const QPointF& value) const;

    std::vector<PredictedPoint> m_points;
    int m_chosen = -1;
    QScatterSeries* m_ring = nullptr;
};

} // namespace ql::views
