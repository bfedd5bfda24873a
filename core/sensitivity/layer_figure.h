// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/calibration/layer_figures.h"
#include "core/sensitivity/metric.h"

#include <algorithm>
#include <limits>

namespace ql::metrics {

/// A text as an argument of a template.
template<std::size_t n>
struct FigureName {
    char text[n];
    constexpr FigureName(const char (&from)[n]) { std::copy_n(from, n, text); }
};

/// The layer's figure of that name (core/calibration/layer_figures.h); NaN if it has none.
template<FigureName name>
Result<double> layerFigure(const LayerInput& input, const JobContext&)
{
    return ql::figureOf(input.known, name.text, input.layer).value_or(std::numeric_limits<double>::quiet_NaN());
}

} // namespace ql::metrics
