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
    alignas(64) std::array<float, kTileWeights> x{};
    alignas(64) std::array<float, kTileWeights> importance{};
    int length() const { return kTileWeights / units; }
};

/// The levels a code can have, nearest to y: whole numbers from low to high, or table[⌊2·(y − low)⌋].
struct UnitLevels {
    float low = 0, high = 0;
    const float* table = nullptr;
};

/// With v the level nearest to x/scale (0 where the scale is 0) and r = x − scale·v:
struct ScaleSums {
    PerUnit error{};     // Σ importance·r²
    PerUnit slope{};     // Σ importance·v·r
    PerUnit curvature{}; // Σ importance·v²
};
void sumWithScales(const UnitTile& tile, const UnitLevels& levels, const PerUnit& scales, ScaleSums& sums);

/// With v the whole number from 0 to highest nearest to (x − offset)/scale and r = x − scale·v − offset:
struct AffineSums {
    PerUnit error{}; // Σ importance·r²
    PerUnit r{};     // Σ importance·r
    PerUnit vr{};    // Σ importance·v·r
    PerUnit v{};     // Σ importance·v
    PerUnit vv{};    // Σ importance·v²
};
void sumWithOffsets(const UnitTile& tile, float highest, const PerUnit& scales, const PerUnit& offsets,
                    AffineSums& sums);

/// The levels v themselves, in the order of the tile; offsets may be null.
void nearestLevels(const UnitTile& tile, const UnitLevels& levels, const PerUnit& scales, const PerUnit* offsets,
                   float* out);

} // namespace ql
