// SPDX-License-Identifier: GPL-3.0-or-later
// What the panel says of a landscape beside drawing it.
#pragma once

#include "views/panels/landscape/landscape_run.h"
#include "views/panels/view_menu.h"

namespace ql::views {

/// Seconds, passes and memory, at most.
QString landscapeCost(const LandscapeChoice& choice);
/// `qloupe curvature --slice` of the model as stored on that text; `arguments` follow.
QString landscapeCommand(const Document& document, std::int64_t layer, const QString& text, const QString& arguments);
/// What was measured on what, and the eigenvalues with their residuals.
QString landscapeWords(const Landscape& landscape, const QString& layer);
/// ‖ΔW‖ of the plan in the weights' units; 0 where it keeps them, NaN where that is not measured.
double planDistance(const Document& document, std::int64_t layer);
/// How far that goes and whether a circle shows it; empty where it is 0 or NaN.
QString planDistanceText(const Landscape& landscape, double distance);
/// A row for each loss that is there.
ViewTable landscapeTable(const Landscape* landscape);

} // namespace ql::views
