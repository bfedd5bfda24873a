// SPDX-License-Identifier: GPL-3.0-or-later
// The two cuts of a landscape through the weights: measured losses as points, slope·x + ½·λ·x² as lines. Where points
// leave their line, predictions of second order end.
#pragma once

#include "views/charts/chart_view.h"
#include "views/panels/landscape/landscape.h"

#include <optional>

namespace ql::views {

class LandscapeCuts : public ChartView {
    Q_OBJECT
public:
    explicit LandscapeCuts(QWidget* parent);
    /// Null: nothing is drawn.
    void setLandscape(const Landscape* landscape);

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    void draw();
    void addCut(std::size_t axis);
    void addAxes();
    void showLegendWhereItFits();

    std::optional<Landscape> m_landscape;
    double m_low = 0, m_high = 0; // of what is measured
};

} // namespace ql::views
