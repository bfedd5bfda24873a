// SPDX-License-Identifier: GPL-3.0-or-later
// The heat map of a landscape: L(a, b) − L(0, 0) in nats per token, a to the right and b upward in percent of ‖W‖, with
// a colour bar; a cross marks the weights themselves, a circle how far the plan moves them. Arrow keys move a cursor
// over the cells, Home goes to the middle. A few hundred cells at most: painted whole each time.
#pragma once

#include "views/panels/landscape/landscape.h"

#include <QPoint>
#include <QRect>
#include <QWidget>

#include <optional>

namespace ql::views {

class LandscapeMap : public QWidget {
    Q_OBJECT
public:
    explicit LandscapeMap(QWidget* parent);

    /// Null shows the message instead. The cursor stays where the grid is as large.
    void setLandscape(const Landscape* landscape);
    void setMessage(const QString& text);
    /// While nothing is shown.
    const QString& message() const { return m_message; }
    /// ‖ΔW‖ of the plan, in the weights' units; 0: no circle.
    void setPlanDistance(double distance);
    /// Of the grid, x the place of a and y that of b.
    std::optional<QPoint> cursor() const { return m_cursor; }
    /// Where a cell is drawn, in widget coordinates.
    QRectF cellRect(int a, int b) const;

    QSize sizeHint() const override { return {360, 300}; }
    QSize minimumSizeHint() const override { return {140, 90}; }

Q_SIGNALS:
    /// What is said of the cell under the pointer, or else under the cursor; empty: none.
    void told(const QString& text);

protected:
    void paintEvent(QPaintEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void leaveEvent(QEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    bool event(QEvent* event) override;

private:
    struct Range {
        double low = 0, high = 0;
    };
    QRect plotRect() const;
    bool hasSurroundings(const QRect& plot) const { return plot != rect(); }
    std::optional<QPoint> cellAt(const QPointF& point) const;
    QPointF placeOf(double a, double b) const;
    void moveCursor(int a, int b);
    void tell();
    Range differences() const;
    void paintCells(QPainter& painter) const;
    void paintMarks(QPainter& painter) const;
    void paintAxes(QPainter& painter, const QRect& plot) const;
    void paintColorBar(QPainter& painter, const QRect& plot) const;
    QString titleThatFits(std::size_t axis, int width) const;

    std::optional<Landscape> m_landscape;
    QString m_message;
    double m_planDistance = 0;
    std::optional<QPoint> m_cursor, m_pointed;
};

} // namespace ql::views
