// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/allocation/bar_axis.h"

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr double kPixelsPerBar = 2; // below this the view starts zoomed in
constexpr double kLargestBar = 90;  // pixels at the largest zoom

} // namespace

void BarAxis::setWidths(std::span<const double> widths)
{
    m_edges.assign(widths.size() + 1, 0);
    double total = 0;
    for (std::size_t i = 0; i < widths.size(); ++i) {
        total += std::max(widths[i], 1e-12);
        m_edges[i + 1] = total;
    }
    for (double& edge : m_edges)
        edge = total > 0 ? edge / total : 0;
}

void BarAxis::setPixels(double left, double width)
{
    m_left = left;
    m_width = width;
    setSight(m_from, m_span);
}

int BarAxis::leftOf(int bar) const
{
    return static_cast<int>(std::floor(m_left + (edge(bar) - m_from) / m_span * m_width));
}

int BarAxis::barAt(double x) const
{
    if (count() == 0 || m_width <= 0)
        return -1;
    // floor() of edges decides which bar a pixel belongs to, as in leftOf().
    const double at = m_from + (std::floor(x) + 0.999999 - m_left) / m_width * m_span;
    const auto found = std::upper_bound(m_edges.begin(), m_edges.end(), at);
    return std::clamp(static_cast<int>(found - m_edges.begin()) - 1, 0, count() - 1);
}

void BarAxis::setSight(double from, double span)
{
    const double least = count() > 0 ? std::min(1.0, m_width / (kLargestBar * count())) : 1;
    m_span = std::clamp(span, least, 1.0);
    m_from = std::clamp(from, 0.0, 1 - m_span);
}

void BarAxis::showFromStart()
{
    setSight(0, count() > 0 && m_width > 0 ? m_width / (kPixelsPerBar * count()) : 1);
}

void BarAxis::zoom(double factor, double x)
{
    if (m_width <= 0)
        return;
    const double t = std::clamp((x - m_left) / m_width, 0.0, 1.0);
    const double anchor = m_from + t * m_span;
    setSight(0, m_span / factor); // the span within its limits
    setSight(anchor - t * m_span, m_span);
}

void BarAxis::reveal(int bar)
{
    if (edge(bar) < m_from)
        setSight(edge(bar), m_span);
    else if (edge(bar + 1) > m_from + m_span)
        setSight(edge(bar + 1) - m_span, m_span);
}

} // namespace ql::views
