// SPDX-License-Identifier: GPL-3.0-or-later
// A grid that is symmetric about 0, as its magnitudes: which of them is chosen for a magnitude, and the squared error
// of many weights, or of a law of weights, at any scale without coding them.
#pragma once

#include "core/formats/number_format.h"

#include <span>
#include <vector>

namespace ql {

struct GridCells {
    std::vector<double> levels;     // magnitudes, ascending, the largest is 1
    std::vector<double> thresholds; // thresholds[i]: from here on levels[i + 1] is chosen; one fewer

    /// Nearest rounding to the levels of a format over its largest; of those without a negative twin the magnitude.
    static GridCells of(const NumberFormat& format);
    /// ±(2^(bits−1) − 1), nearest.
    static GridCells ofIntegers(int bits);
    /// (k/Q)^(1/a), k = 0…Q = 2^(bits−1) − 1. Chosen nearest, or as NUPES does, whose integers are rounded:
    /// thresholds ((k + ½)/Q)^(1/a).
    static GridCells ofPower(int bits, double exponent, bool roundsInPower);
};

/// Weights by magnitude, with sums up to each. n·log n to make; thread-safe after that.
class SortedMagnitudes {
public:
    /// Those that are finite.
    explicit SortedMagnitudes(std::span<const float> weights);
    /// Σ (w − ŵ)² with the largest level at `clip`; levels·log n. Sums in double: off by 1e-15·Σw² at most.
    double squaredError(const GridCells& cells, double clip) const;
    double sumOfSquares() const { return m_squares.back(); }
    double largest() const { return m_magnitudes.empty() ? 0 : static_cast<double>(m_magnitudes.back()); }
    std::int64_t count() const { return std::ssize(m_magnitudes); }

private:
    std::vector<float> m_magnitudes;
    std::vector<double> m_sums, m_squares; // of the first i
};

} // namespace ql
