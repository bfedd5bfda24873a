// SPDX-License-Identifier: GPL-3.0-or-later
// The inner loops of searches for block formats. A tile is 256 weights seen as units that share a scale: 8 of 32, or 16
// of 16. One vector lane is one unit, so every sum runs over a unit's elements in order: equal bits for any vector
// width. Sums in float. Thread-safe.
#pragma once

#include <array>

namespace ql {

constexpr int kTileWeights = 256;
constexpr int kMostUnits = 16;
/// One value for each unit; those beyond tile.units mean nothing.
using PerUnit = std::array<float, kMostUnits>;

/// Element e of unit u at e·units + u. Values are at most about 16 in magnitude, importances at most 1.
struct UnitTile {
    int units = 16;
    bool isUniform = false; // every importance is 1
    alignas(64) std::array<float, kTileWeights> x{};
    alignas(64) std::array<float, kTileWeights> importance{};
    int length() const { return kTileWeights / units; }
};

/// Largest finite magnitudes of the units of 256 weights, and of their importance where that is given.
struct UnitExtremes {
    PerUnit weight{}, importance{};
    bool isFinite = true; // every weight
};
UnitExtremes extremesOf(const float* weights, const float* importance, int units);

/// Puts 256 finite weights times factor into a tile, importance times importanceFactor within [least, 1], and finds
/// what PreparedTile has of each unit.
void fillTile(const float* weights, const float* importance, const PerUnit& factor, const PerUnit& importanceFactor,
              float least, UnitTile& tile, PerUnit& lowest, PerUnit& highest, PerUnit& sum);

/// The levels a code can have, nearest to y: whole numbers from low to high, or table[⌊2·(y − low)⌋]. Fine levels leave
/// so small a part of Σ x² that only sums of residuals tell one scale from another; sums of products, which are half
/// the work, do for the others.
struct UnitLevels {
    float low = 0, high = 0;
    const float* table = nullptr;
    bool isFine = false;
};

/// Best of what was tried for each unit so far. Errors leave out what no scale changes, Σ importance·x², but where
/// levels are fine.
struct BestScales {
    PerUnit scale{}, error{};
};
/// Codes with the scales base·factor, then the least squares of each unit's scale for these codes: kept where its error
/// Σ importance·(x − scale·v)² is less.
void improveScales(const UnitTile& tile, const UnitLevels& levels, const PerUnit& base, float factor, BestScales& best);

/// The same with base·factor and with −base·factor.
void improveEnds(const UnitTile& tile, const UnitLevels& levels, const PerUnit& base, float factor, BestScales& best);

/// Codes with these scales: kept where the error, Σ importance·((x − scale·v)² − x²), is less.
void tryScales(const UnitTile& tile, const UnitLevels& levels, const PerUnit& scales, BestScales& best);

/// Whole numbers of a block's scale for each unit, and with r = x − scale·number·v:
struct BestNumbers {
    PerUnit number{};
    PerUnit error{};     // Σ importance·(r² − x²)
    PerUnit slope{};     // Σ importance·v·r
    PerUnit curvature{}; // Σ importance·v²
};
/// For each unit the best of the three whole numbers around wanted/scale, from least to most, with their nearest codes.
void chooseNumbers(const UnitTile& tile, const UnitLevels& levels, const PerUnit& wanted, float scale, float least,
                   float most, BestNumbers& best);

/// What searches for x̂ = scale·v + offset, v a whole number from 0 to highest, know of a tile.
struct AffineRule {
    float highest = 0;
    bool offsetBelowZero = false;
    PerUnit importance{}; // sum over each unit
};
struct BestAffines {
    PerUnit scale{}, offset{}, error{};
};
/// Codes with these scales and offsets, then the least squares of both: kept where the error is less.
void improveAffines(const UnitTile& tile, const AffineRule& rule, const PerUnit& scales, const PerUnit& offsets,
                    BestAffines& best);

/// Whole numbers of a block's scale and minimum for each unit, and with r = x − scale·number·v + minimum·number:
struct BestPairs {
    PerUnit scale{}, minimum{}; // the numbers
    PerUnit error{};            // Σ importance·r²
    PerUnit r{};                // Σ importance·r
    PerUnit vr{};               // Σ importance·v·r
    PerUnit v{};                // Σ importance·v
    PerUnit vv{};               // Σ importance·v²
};
/// Codes with these numbers: kept where the error is less. Then minima become the numbers, up to most, that suit those
/// codes best; whether one has moved.
bool tryPairs(const UnitTile& tile, const AffineRule& rule, float scale, float minimum, float most,
              const PerUnit& scales, PerUnit& minima, BestPairs& best);

/// Whole numbers from least to most nearest to values/divisor plus step; values where the divisor is next to 0: least
/// or 0.
void nearestNumbers(const PerUnit& values, float divisor, float step, float least, float most, PerUnit& numbers);

/// The levels v themselves, in the order of the tile; offsets may be null.
void nearestLevels(const UnitTile& tile, const UnitLevels& levels, const PerUnit& scales, const PerUnit* offsets,
                   float* out);

} // namespace ql
