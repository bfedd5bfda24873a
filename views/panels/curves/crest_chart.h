// SPDX-License-Identifier: GPL-3.0-or-later
// INT against FP over the crest factor of the blocks: for each pair of formats of equal storage the theory's gain of
// the integer in dB (above 0 INT is better), its crossover as a circle where it passes 0, and the layer's own point as
// a diamond: its crest factor and the difference of the errors measured on it.
#pragma once

#include "core/analysis/error_curves.h"
#include "views/panels/view_menu.h"

namespace ql::views {

class ChartView;

/// Replaces the view's chart.
void drawCrestChart(ChartView& view, const ErrorCurves& layer);
/// Of every pair at a crest factor, for a tool tip.
QString crestTip(double crestFactor);
/// A row per pair: crossover, the layer's crest factor, theory and measurement there.
ViewTable crestTable(const ErrorCurves& layer);
/// Which of each pair theory prefers for the layer.
QString crestWinners(const ErrorCurves& layer);

} // namespace ql::views
