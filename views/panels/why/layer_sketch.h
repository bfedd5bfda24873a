// SPDX-License-Identifier: GPL-3.0-or-later
// Two small drawings of a layer side by side: how its weights are spread, counts on a logarithmic scale, and what its
// candidates lose over their bits, likewise, the planned one marked.
#pragma once

#include "core/analysis/histogram.h"

#include <QWidget>

#include <vector>

namespace ql::views {

/// A candidate that was measured.
struct SketchPoint {
    double bits = 0;
    double loss = 0;
    bool isPlanned = false;
};

class LayerSketch : public QWidget {
    Q_OBJECT
public:
    explicit LayerSketch(QWidget* parent = nullptr);
    /// threshold: beyond it weights are outliers; 0: none are.
    void setWeights(const Histogram& histogram, double threshold);
    /// By rising bits.
    void setLosses(std::vector<SketchPoint> points);
    void clear();

    QSize sizeHint() const override { return {360, 90}; }
    QSize minimumSizeHint() const override { return {60, 60}; }

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    void paintWeights(QPainter& painter, const QRectF& box) const;
    void paintLosses(QPainter& painter, const QRectF& box) const;

    Histogram m_histogram;
    double m_threshold = 0;
    std::vector<SketchPoint> m_points;
    bool m_isAsked = false; // whether they are those of a layer
};

} // namespace ql::views
