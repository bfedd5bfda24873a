// SPDX-License-Identifier: GPL-3.0-or-later
// The outlier map of one matrix: |w| of every cell as a colour, the largest of each column and row beside it, a colour
// bar with values. Wheel or +/- zoom, drag or arrows pan, 0 fits, L switches between logarithmic and linear, N and
// Shift+N go through the largest elements. A repaint with nothing changed blits.
#pragma once

#include "views/heatmap/heat_image.h"

#include <QPointF>
#include <QRect>
#include <QWidget>

namespace ql::views {

class HeatMap : public QWidget {
    Q_OBJECT
public:
    explicit HeatMap(QWidget* parent = nullptr);

    /// Null shows the message instead.
    void setPyramid(std::shared_ptr<const OutlierPyramid> pyramid);
    void setOutliers(std::vector<Outlier> largest);
    void setMessage(const QString& text);
    void setLogarithmic(bool on);
    bool isLogarithmic() const { return m_scale.logarithmic; }
    const HeatScale& scale() const { return m_scale; }
    /// What part of the matrix is shown.
    const CellRect& part() const { return m_part; }
    void setPart(const CellRect& part);
    void fit();
    /// Goes to the next (+1) or previous (−1) of the largest elements.
    void stepOutlier(int direction);
    /// Where the cells are drawn, in widget coordinates.
    QRect plotRect() const;

    QSize sizeHint() const override { return {640, 420}; }
    QSize minimumSizeHint() const override { return {160, 120}; }

Q_SIGNALS:
    /// row and column under the pointer, −1 when it left.
    void hovered(qint64 row, qint64 col);
    void logarithmicChanged(bool on);

protected:
    void paintEvent(QPaintEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void leaveEvent(QEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    bool event(QEvent* event) override;

private:
    void zoom(double factor, QPointF anchor);
    void pan(double cellsX, double cellsY);
    QPointF cellAt(QPointF point) const;
    QString cellText(std::int64_t row, std::int64_t col) const;
    void updateScale();
    void paintProfiles(QPainter& painter, const QRect& plot) const;
    void paintAxes(QPainter& painter, const QRect& plot) const;
    void paintColorBar(QPainter& painter, const QRect& plot) const;
    void paintCells(QPainter& painter, const QRect& plot) const;

    std::shared_ptr<const OutlierPyramid> m_pyramid;
    std::vector<Outlier> m_outliers;
    int m_outlier = -1;
    HeatImage m_image;
    HeatScale m_scale;
    CellRect m_part;
    QString m_message;
    QPointF m_dragFrom;
    CellRect m_dragPart;
    bool m_dragging = false;
};

} // namespace ql::views
