// SPDX-License-Identifier: GPL-3.0-or-later
// What the blocks that are sums of scaled planes share, ŵ = Σ αᵢ·tᵢ with few values of t: weights made ready, least
// squares of the scales for given planes, and the nearest of the sums. In double, one element after the other: equal
// bits on any CPU. Thread-safe.
#pragma once

#include "core/formats/unit_kernels.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ql {

constexpr int kMostPlanes = 4;
using PlaneScales = std::array<double, kMostPlanes>;

/// Weights of a block: NaN became 0, infinities eight times the largest finite magnitude without importance.
/// Importances are at most 1 and at least 10⁻⁶ of that, 1 where none were given; what is negative or no number counts
/// as 0.
struct PlaneWeights {
    explicit PlaneWeights(const float* weights, const float* importance, int count);
    int count = 0;
    double largest = 0;      // finite magnitude
    bool isWeighted = false; // importances differ
    std::array<double, kTileWeights> x{};
    std::array<double, kTileWeights> importance{};
};

/// Values of an element's planes, by code.
using PlaneTable = std::span<const std::array<double, kMostPlanes>>;

/// Weights as scales and a code each.
struct PlaneFit {
    PlaneScales scale{};
    std::array<std::uint8_t, kTileWeights> codes{};
    double error = 0; // Σ importance·(x − x̂)²
};

/// The codes that are nearest with these scales, the first of equals, and their error.
void nearestPlanes(const PlaneWeights& weights, PlaneTable table, int planes, PlaneFit& fit);

/// Least squares of the scales for the fit's codes: (TᵀIT + λ)⁻¹TᵀIx, λ = 10⁻⁸ of the sum of importances and ten times
/// more while pivots say that planes are nearly equal. The codes stay.
void leastSquaresScales(const PlaneWeights& weights, PlaneTable table, int planes, PlaneFit& fit);

/// Both in turn while the error falls, at most so many rounds: it never rises.
void alternate(const PlaneWeights& weights, PlaneTable table, int planes, int rounds, PlaneFit& fit);

/// The scales as f16 hold them (largest finite at most), and the codes that are then nearest.
void roundScales(const PlaneWeights& weights, PlaneTable table, int planes, PlaneFit& fit);

} // namespace ql
