// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/grid_cells.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

void addMiddles(GridCells& cells)
{
    for (std::size_t i = 1; i < cells.levels.size(); ++i)
        cells.thresholds.push_back((cells.levels[i - 1] + cells.levels[i]) / 2);
}

} // namespace

GridCells GridCells::of(const NumberFormat& format)
{
    GridCells cells;
    for (const float level : format.grid.levels)
        if (level >= 0)
            cells.levels.push_back(static_cast<double>(level) / static_cast<double>(format.maxLevel));
    addMiddles(cells);
    return cells;
}

GridCells GridCells::ofIntegers(int bits)
{
    return ofPower(bits, 1, false);
}

GridCells GridCells::ofPower(int bits, double exponent, bool roundsInPower)
{
    const int most = (1 << (bits - 1)) - 1;
    GridCells cells;
    for (int k = 0; k <= most; ++k)
        cells.levels.push_back(std::pow(static_cast<double>(k) / most, 1 / exponent));
    if (!roundsInPower)
        addMiddles(cells);
    else
        for (int k = 0; k < most; ++k)
            cells.thresholds.push_back(std::pow((k + 0.5) / most, 1 / exponent));
    return cells;
}

SortedMagnitudes::SortedMagnitudes(std::span<const float> weights)
{
    for (const float w : weights)
        if (std::isfinite(w))
            m_magnitudes.push_back(std::fabs(w));
    std::ranges::sort(m_magnitudes);
    m_sums.push_back(0);
    m_squares.push_back(0);
    for (const float w : m_magnitudes) {
        const auto magnitude = static_cast<double>(w);
        m_sums.push_back(m_sums.back() + magnitude);
        m_squares.push_back(m_squares.back() + magnitude * magnitude);
    }
}

double SortedMagnitudes::squaredError(const GridCells& cells, double clip) const
{
    double error = 0;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < cells.levels.size(); ++i) {
        std::size_t end = m_magnitudes.size();
        if (i < cells.thresholds.size()) {
            const auto first = m_magnitudes.begin() + static_cast<std::ptrdiff_t>(begin);
            const double threshold = clip * cells.thresholds[i];
            const auto found =
                std::lower_bound(first, m_magnitudes.end(), threshold,
                                 [](float magnitude, double bound) { return static_cast<double>(magnitude) < bound; });
            end = static_cast<std::size_t>(found - m_magnitudes.begin());
        }
        const double level = clip * cells.levels[i];
        error += m_squares[end] - m_squares[begin] - 2 * level * (m_sums[end] - m_sums[begin]) +
                 level * level * static_cast<double>(end - begin);
        begin = end;
    }
    return std::max(error, 0.0);
}

} // namespace ql
