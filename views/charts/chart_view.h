// SPDX-License-Identifier: GPL-3.0-or-later
// What our charts have in common: a view without frame whose colours follow the palette, text for when there is nothing
// to show, and no animation. Series are replaced whole (appending points one by one is quadratic), never more than a
// few thousand points.
#pragma once

#include <QChart>
#include <QChartView>

class QAbstractAxis;

namespace ql::views {

class ChartView : public QChartView {
    Q_OBJECT
public:
    explicit ChartView(QWidget* parent = nullptr);

    /// Replaces the chart by a themed, empty one and returns it.
    QChart* newChart();
    /// Colours axes, titles and legend by the palette; call after axes and series are there.
    void applyTheme();
    /// What the vertical axis counts, in a line above the plot: beside a low plot it would be cut off. Of the chart
    /// that is there now.
    void setCaption(const QString& text);
    /// Shown in the middle while it is not empty.
    void setMessage(const QString& text);
    QSize sizeHint() const override { return {420, 260}; }
    QSize minimumSizeHint() const override { return {120, 80}; }

Q_SIGNALS:
    /// The pointer is at these values of the first axes; inside is false when it left the plot.
    void hovered(const QPointF& value, const QPoint& globalPoint, bool inside);
    /// A click at these values of the first axes, inside the plot.
    void clicked(const QPointF& value);
    /// Light became dark or the other way; colours of series are to be set again.
    void themeChanged();

protected:
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void leaveEvent(QEvent* event) override;
    void changeEvent(QEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;
    void drawForeground(QPainter* painter, const QRectF& rect) override;

private:
    bool isInPlot(const QPointF& point) const;
    void showTitlesWhereTheyFit();
    void thinOutPowers(const QRectF& plot);
    QString m_caption;
    QString m_message;
};

} // namespace ql::views
