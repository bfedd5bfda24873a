// SPDX-License-Identifier: GPL-3.0-or-later
// What the bench found on one layer: bits per weight against error on a logarithmic axis, a shape and a colour for each
// quantizer, or, of several variants, a shape for each quantizer and a colour for each transform, hollow where there
// are more of them than colours; a line through the Pareto set. Errors of exactly 0 have no place on that axis; the
// title counts them.
#pragma once

#include "views/charts/chart_view.h"

#include <vector>

class QScatterSeries;

namespace ql::views {

struct BenchPoint {
    int row = 0; // what the signals name it by
    double bits = 0;
    double error = 0;
    QString candidate;
    QString quantizer; // or what stands for none
    QString transform; // of the variant
    bool onFront = false;
};

class BenchChart : public ChartView {
    Q_OBJECT
public:
    explicit BenchChart(QWidget* parent = nullptr);

    void setPoints(std::vector<BenchPoint> points, const QString& errorTitle);
    /// Rings the point of that row; −1: none.
    void setHighlighted(int row);

Q_SIGNALS:
    void pointHovered(int row); // −1: none is near
    void pointClicked(int row);

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    /// Names of quantizers, where they fit.
    void showLegendWhereItFits();
    void draw();
    void drawFront(const QColor& color);
    void drawQuantizers();
    void drawVariants();
    QScatterSeries* addMarks(const QString& name, std::size_t shape, std::size_t color, const QList<QPointF>& points);
    void drawAxes();
    void drawRing();
    /// The nearest point within a few pixels, or null.
    const BenchPoint* pointAt(const QPointF& value) const;

    std::vector<BenchPoint> m_points; // with an error above 0
    int m_exact = 0;                  // points without error
    QString m_errorTitle;
    int m_highlighted = -1;
    QScatterSeries* m_ring = nullptr;
};

} // namespace ql::views
