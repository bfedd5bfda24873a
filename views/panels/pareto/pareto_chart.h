// SPDX-License-Identifier: GPL-3.0-or-later
// Plans as marks, size against loss on a logarithmic axis: hollow where the loss is predicted, filled where it was
// measured, a diamond for the plan that is edited; the front as a step line and the convex hull of all plans. A click
// chooses a mark, a double click or Enter adopts it; Left, Right, Home and End walk along the front, Esc chooses none.
// Losses of 0 have no place on the axis; its title counts them.
#pragma once

#include "views/charts/chart_view.h"

#include <functional>
#include <vector>

class QScatterSeries;

namespace ql::views {

enum class ParetoKind { front, named, measured, current };

struct ParetoMark {
    ParetoKind kind = ParetoKind::front;
    double size = 0; // in the unit of the axis
    double loss = 0; // predicted, in the unit of the axis
    /// In the same unit, with its standard error; not above 0: not measured, or in another unit.
    double measured = 0, measuredError = 0;
    bool isMeasured = false; // in whatever unit
};

class ParetoChart : public ChartView {
    Q_OBJECT
public:
    explicit ParetoChart(QWidget* parent = nullptr);

    /// Marks of the front by rising size; signals name marks by their place in the list. `hull`: the vertices of the
    /// convex hull, or none.
    void setMarks(std::vector<ParetoMark> marks, QList<QPointF> hull, const QString& sizeTitle,
                  const QString& lossTitle);
    /// Whether the front of the next marks is of earlier losses: it is paler, and the legend says so.
    void setEarlier(bool earlier) { m_isEarlier = earlier; }
    /// Says what is shown of a mark under the pointer.
    void setTipSource(std::function<QString(int mark)> tip) { m_tip = std::move(tip); }
    /// Rings the mark; −1: none.
    void setChosen(int mark);
    int chosen() const { return m_chosen; }
    /// Where the mark is drawn, in pixels of the viewport.
    QPointF positionOf(int mark) const;

Q_SIGNALS:
    void markChosen(int mark); // −1: none
    void markAdopted(int mark);

protected:
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

private:
    void draw();
    void drawFront();
    void drawHull();
    void drawErrors();
    void drawMarks(ParetoKind kind, bool filled, const QString& name);
    void drawAxes();
    void drawRing();
    void showLegendWhereItFits();
    bool isDrawn(const ParetoMark& mark) const { return mark.loss > 0; }
    QPointF at(const ParetoMark& mark) const;
    int markAt(const QPointF& value) const;
    void choose(int mark);
    void step(int direction);

    std::vector<ParetoMark> m_marks;
    QList<QPointF> m_hull;
    std::function<QString(int mark)> m_tip;
    QString m_sizeTitle, m_lossTitle;
    int m_chosen = -1;
    bool m_isEarlier = false;
    QScatterSeries* m_ring = nullptr;
};

} // namespace ql::views
