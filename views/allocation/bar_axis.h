// SPDX-License-Identifier: GPL-3.0-or-later
// Which bar stands at which x: widths equal or by share, and the part of them in sight. Positions along all bars are
// 0…1; the part in sight is what zooming and scrolling change. Plain numbers, no painting.
#pragma once

#include <span>
#include <vector>

namespace ql::views {

class BarAxis {
public:
    /// Lays out bars of these widths, in any unit.
    void setWidths(std::span<const double> widths);
    /// Where on the screen the part in sight is drawn; keeps it within its limits.
    void setPixels(double left, double width);

    int count() const { return static_cast<int>(m_edges.size()) - 1; }
    /// The left edge of bar i, 0…1; edge(count()) is 1.
    double edge(int bar) const { return m_edges[static_cast<std::size_t>(bar)]; }
    double from() const { return m_from; }
    double span() const { return m_span; }

    /// floor() of a bar's edges in pixels; neighbours share an edge.
    int leftOf(int bar) const;
    int rightOf(int bar) const { return leftOf(bar + 1); }
    /// The bar whose pixels contain x; the outermost beyond the ends, −1 without bars or room.
    int barAt(double x) const;

    void setSight(double from, double span);
    /// All bars, or as many from the first as have at least 2 pixels each.
    void showFromStart();
    void zoom(double factor, double x);
    /// Scrolls as little as brings the bar into sight.
    void reveal(int bar);

private:
    std::vector<double> m_edges{0};
    double m_from = 0, m_span = 1;
    double m_left = 0, m_width = 0; // pixels
};

} // namespace ql::views
