// SPDX-License-Identifier: GPL-3.0-or-later
// Vector kernels of outliers.h. Magnitudes travel as the bits of |x| with NaN as +inf, which order like the values.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ql {

/// Two rows of n ≥ 1 elements (the same row twice at an odd end) into ⌈n/2⌉ cells; raises rowMax[0], rowMax[1] and
/// colMax[0…n).
void reduceRows(const float* top, const float* bottom, std::int64_t n, float* cells, float* rowMax, float* colMax);
/// Two rows of n ≥ 1 cells into ⌈n/2⌉.
void reduceCells(const float* top, const float* bottom, std::int64_t n, float* cells);

/// max |x| with NaN as +inf; 0 for none.
float maxAbs(const float* values, std::int64_t n);
double maxAbs(const double* values, std::int64_t n);
/// How many |x| > threshold, NaN counted.
std::int64_t countAbove(const float* values, std::int64_t n, double threshold);
std::int64_t countAbove(const double* values, std::int64_t n, double threshold);

} // namespace ql
