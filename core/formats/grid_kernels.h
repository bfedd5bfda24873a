// SPDX-License-Identifier: GPL-3.0-or-later
// The inner loops of searches over a grid of points g (core/tensor/ggml_grids.h). For magnitudes x ≥ 0 with importances
// i, a scale s and a point g:  Σ i·(x − s·g)² = Σ i·x² + s·(s·b − a)  with  a = 2·Σ i·x·g  and  b = Σ i·g²,
// so a and b of every point are found once and any scale is then two operations a point: all points are tried. If one
// sign must be wrong, the cheapest one makes a = 2·(Σ i·x·g − 2·min i·x·g). In float; equal bits on any CPU.
#pragma once

namespace ql {

/// Levels of element j of point k at j·points + k; aligned to 64 bytes. points is a multiple of 16.
struct GridTable {
    int dimension = 0; // at most 8
    int points = 0;
    const float* levels = nullptr;
    /// Floats from one row of sums to the next: off the powers of two that would share one set of the cache.
    int rowStride() const { return points + 16; }
};

/// Fills sums with three rows, rowStride() apart, for each cell of `dimension` weights that follow each other: a, b
/// and, where isWrong says that one sign must be wrong, a with it. products: i·x.
void sumPoints(const GridTable& grid, int cells, const float* products, const float* importance, const bool* isWrong,
               float* sums);

/// Adds to costs[j] the least s·(s·b − a) over the points, s = scales[j] > 0.
void addLeastCosts(int points, const float* a, const float* b, int count, const float* scales, float* costs);

/// The first point of the least s·(s·b − a).
int bestPoint(int points, const float* a, const float* b, float scale);

} // namespace ql
