// SPDX-License-Identifier: GPL-3.0-or-later
// Small charts as SVG text: one y axis, one x axis, lines, steps or bars. Colours come from CSS classes (s0…s7), so the
// page decides on light and dark.
#pragma once

#include <string>
#include <vector>

namespace ql {

struct SvgSeries {
    enum class Kind { line, steps, bars };
    std::string name;
    Kind kind = Kind::line;
    std::vector<double> x,
        y; // steps: x are the n+1 edges of n values; bars: x are whole numbers; points that are not finite are left out
};

struct SvgMark {
    double x = 0;
    std::string label;
};

struct SvgChart {
    std::string title;
    std::string xLabel, yLabel; // with units
    bool logY = false;          // values ≤ 0 are drawn at the floor, a tenth of the smallest positive one
    std::vector<SvgSeries> series;
    std::vector<SvgMark> marks; // vertical lines
    int width = 520, height = 260;
};

std::string renderSvg(const SvgChart& chart);

/// Text with &, <, >, " escaped, made printable.
std::string escapeHtml(std::string_view text);

} // namespace ql
