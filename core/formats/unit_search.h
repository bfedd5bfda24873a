// SPDX-License-Identifier: GPL-3.0-or-later
// Scales for the units of a tile (unit_kernels.h) that make Σ importance·(x − x̂)² small, by alternating nearest codes
// and the least squares of what the codes leave free, from several starts. Two steps: each unit's own best scale (and
// offset), then, for types whose unit scales are whole numbers of a block's scale, those numbers and that scale
// together. In float; thread-safe.
#pragma once

#include "core/formats/unit_kernels.h"

#include <cstdint>
#include <span>

namespace ql {

/// Weights ready for a search: x = w·norm, norm a power of two that brings the largest finite magnitude of a unit (or
/// of the block, where its units share a scale) into [1, 2), or 1 where there is none. NaN became 0, infinities ±8
/// without importance. Importances are at most 1 and at least 10⁻⁶ of that: what does not matter is rounded sensibly.
struct PreparedTile {
    UnitTile tile;
    std::array<double, kMostUnits> norm{};
    PerUnit lowest{}, highest{}; // of finite x, or 0
    PerUnit importance{};        // sum over the unit
    bool isZero = true;          // no finite weight but 0
    bool isWeighted = false;     // importance was given
};
enum class NormOf { unit, block };
/// count weights, the rest is 0; importance may be null.
void prepareTile(const float* weights, const float* importance, int count, int units, NormOf normOf,
                 PreparedTile& prepared);

/// The f16 value nearest to a scale of prepared values, as a scale of prepared values; saturates.
float storableF16(float scale, double norm);
/// The bits of that value; storable scales only.
std::uint16_t f16Bits(float scale, double norm);

/// Scales of units, each its own. Starts: the magnitude of the largest weight meets an end of the levels times a
/// factor, the end with more levels or both: with few levels, or few weights that matter, the other may be the better.
/// Under importance, also larger factors in steps of a quarter: a large weight that hardly matters may be far beyond.
struct ScaleStarts {
    float leastFactor = 0.8F, mostFactor = 1.3F;
    int count = 12;
    bool bothEnds = true;
    float endOfWeighted = 5; // of the factors under importance
};
PerUnit searchScales(const PreparedTile& prepared, const UnitLevels& levels, const ScaleStarts& starts);

/// One scale for the block and a whole number in [least, most] for each unit.
struct BlockScale {
    float scale = 0; // of prepared values, an f16
    PerUnit numbers{};
    float error = 0;
    PerUnit unitScales() const;
};
/// Ends: the numbers that the largest scale may become at the start.
BlockScale searchBlockScale(const PreparedTile& prepared, const UnitLevels& levels, const PerUnit& wanted, int least,
                            int most, std::span<const float> ends);

/// Scales and offsets of units, x̂ = scale·v + offset with v from 0 to highest.
struct UnitAffines {
    PerUnit scale{}, offset{};
};
/// Starts: a part of the range is cut off at either end, every pair of `cuts`.
UnitAffines searchAffines(const PreparedTile& prepared, float highest, std::span<const float> cuts,
                          bool offsetBelowZero);

/// Two scales for the block and two whole numbers in [0, most] for each unit: x̂ = (scale·number)·v − minimum·number.
struct BlockAffine {
    float scale = 0, minimum = 0; // of prepared values, f16
    PerUnit scales{}, minima{};
    float error = 0;
    UnitAffines unitAffines() const;
};
BlockAffine searchBlockAffine(const PreparedTile& prepared, float highest, const UnitAffines& wanted, int most,
                              std::span<const float> factors);

} // namespace ql
