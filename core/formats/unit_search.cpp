// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/unit_search.h"

#include "core/tensor/half.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace ql {

namespace {

constexpr float kLeastImportance = 1e-6F;
constexpr float kInfinite = 8; // what stands for an infinity

/// Largest finite magnitude.
float largestOf(const float* weights, int n)
{
    float largest = 0;
    for (int i = 0; i < n; ++i)
        if (const float size = std::fabs(weights[i]); size <= std::numeric_limits<float>::max())
            largest = std::max(largest, size);
    return largest;
}

/// The power of two that brings it into [1, 2).
double normOfLargest(float largest)
{
    if (largest == 0)
        return 1;
    int exponent = 0;
    std::frexp(largest, &exponent);
    return std::ldexp(1.0, 1 - exponent);
}

float largestImportance(const float* importance, int n)
{
    float largest = 0;
    for (int i = 0; i < n; ++i)
        if (importance[i] <= std::numeric_limits<float>::max())
            largest = std::max(largest, importance[i]);
    return largest;
}

/// In four strands, so that none waits for the one before.
template<typename Value>
float sumOver(int units, const Value& value)
{
    std::array<float, 4> strands{};
    for (std::size_t u = 0; u < static_cast<std::size_t>(units); u += 4)
        for (std::size_t i = 0; i < 4; ++i)
            strands[i] += value(u + i);
    return (strands[0] + strands[1]) + (strands[2] + strands[3]);
}

float sumOf(const PerUnit& values, int units)
{
    return sumOver(units, [&](std::size_t u) { return values[u]; });
}

float quotient(float a, float b)
{
    return std::fabs(b) > 1e-30F ? a / b : 0;
}

/// The same as prepareTile for 256 finite weights whose norms are floats; false: it is not so.
bool prepareWholeTile(const float* weights, const float* importance, int units, NormOf normOf, PreparedTile& prepared)
{
    UnitExtremes extremes = extremesOf(weights, importance, units);
    if (!extremes.isFinite)
        return false;
    const auto ends = [units](PerUnit& values) { return std::span(values).first(static_cast<std::size_t>(units)); };
    if (normOf == NormOf::block) {
        std::ranges::fill(ends(extremes.weight), std::ranges::max(ends(extremes.weight)));
        std::ranges::fill(ends(extremes.importance), std::ranges::max(ends(extremes.importance)));
    }
    PerUnit factor{};
    PerUnit importanceFactor{};
    prepared.isZero = true;
    for (std::size_t u = 0; u < static_cast<std::size_t>(units); ++u) {
        const float largest = extremes.weight[u];
        prepared.isZero = prepared.isZero && largest == 0;
        prepared.norm[u] = normOfLargest(largest);
        factor[u] = static_cast<float>(prepared.norm[u]);
        if (!std::isfinite(factor[u]))
            return false;
        importanceFactor[u] = extremes.importance[u] > 0 ? 1 / extremes.importance[u] : 0;
        if (importance && importanceFactor[u] == 0)
            return false;
    }
    prepared.tile.isUniform = importance == nullptr;
    fillTile(weights, importance, factor, importanceFactor, kLeastImportance, prepared.tile, prepared.lowest,
             prepared.highest, prepared.importance);
    return true;
}

} // namespace

void prepareTile(const float* weights, const float* importance, int count, int units, NormOf normOf,
                 PreparedTile& prepared)
{
    prepared.tile.units = units;
    prepared.isWeighted = importance != nullptr;
    if (count == kTileWeights && prepareWholeTile(weights, importance, units, normOf, prepared))
        return;
    const int length = kTileWeights / units;
    prepared.isZero = true;
    prepared.tile.isUniform = false;
    double norm = 1;
    float mostImportant = 1;
    if (normOf == NormOf::block) {
        const float largest = largestOf(weights, count);
        norm = normOfLargest(largest);
        prepared.isZero = largest == 0;
        if (importance)
            mostImportant = largestImportance(importance, count);
    }
    for (int u = 0; u < units; ++u) {
        const auto unit = static_cast<std::size_t>(u);
        const int present = std::clamp(count - u * length, 0, length);
        const float* from = weights + u * length;
        if (normOf == NormOf::unit) {
            const float largest = largestOf(from, present);
            norm = normOfLargest(largest);
            prepared.isZero = prepared.isZero && largest == 0;
            if (importance)
                mostImportant = largestImportance(importance + u * length, present);
        }
        float lowest = std::numeric_limits<float>::infinity();
        float highest = -lowest;
        float sum = 0;
        const float inverse = mostImportant > 0 ? 1 / mostImportant : 0;
        for (int e = 0; e < length; ++e) {
            float x = 0;
            float matters = kLeastImportance;
            if (e < present) {
                const float w = from[e];
                matters = importance && inverse > 0 ? importance[u * length + e] * inverse : 1;
                // What is no number fails the comparison.
                matters = matters > kLeastImportance ? std::min(matters, 1.0F) : kLeastImportance;
                if (std::isinf(w)) {
                    x = std::copysign(kInfinite, w);
                    matters = 0;
                } else {
                    x = std::isnan(w) ? 0 : static_cast<float>(static_cast<double>(w) * norm);
                    lowest = std::min(lowest, x);
                    highest = std::max(highest, x);
                }
            }
            const auto at = static_cast<std::size_t>(e * units + u);
            prepared.tile.x[at] = x;
            prepared.tile.importance[at] = matters;
            sum += matters;
        }
        const bool any = lowest <= highest;
        prepared.norm[unit] = norm;
        prepared.lowest[unit] = any ? lowest : 0;
        prepared.highest[unit] = any ? highest : 0;
        prepared.importance[unit] = sum;
    }
}

namespace {

/// The f16 nearest to a value of at most 65504, ties to even; what floatFromF16(f16FromFloat(x)) is, without calls.
float roundedToF16(float x)
{
    const float size = std::fabs(x);
    if (size < 0x1p-14F) // multiples of 2⁻²⁴
        return std::copysign((size + 0.5F) - 0.5F, x);
    const auto bits = std::bit_cast<std::uint32_t>(x);
    return std::bit_cast<float>((bits + 0xfffU + ((bits >> 13U) & 1U)) & ~std::uint32_t{0x1fff});
}

float halfOf(float scale, double norm)
{
    constexpr double kLargest = 65504;
    return static_cast<float>(std::clamp(static_cast<double>(scale) / norm, -kLargest, kLargest));
}

} // namespace

float storableF16(float scale, double norm)
{
    return static_cast<float>(static_cast<double>(roundedToF16(halfOf(scale, norm))) * norm);
}

std::uint16_t f16Bits(float scale, double norm)
{
    return f16FromFloat(halfOf(scale, norm));
}

PerUnit searchScales(const PreparedTile& prepared, const UnitLevels& levels, const ScaleStarts& starts)
{
    const float end = std::max(-levels.low, levels.high);
    PerUnit largest{}; // of the sign that brings the largest weight to the end with more levels
    for (std::size_t u = 0; u < kMostUnits; ++u) {
        const bool negative = prepared.highest[u] > -prepared.lowest[u];
        largest[u] = std::max(prepared.highest[u], -prepared.lowest[u]) * (negative ? -1.0F : 1.0F);
    }
    BestScales best;
    best.error.fill(std::numeric_limits<float>::infinity());
    const auto tryFactor = [&](float factor) {
        (starts.bothEnds ? improveEnds : improveScales)(prepared.tile, levels, largest, 1 / (end * factor), best);
    };
    for (int i = 0; i < starts.count; ++i)
        tryFactor(starts.leastFactor + (starts.mostFactor - starts.leastFactor) * static_cast<float>(i) /
                                           static_cast<float>(std::max(1, starts.count - 1)));
    if (prepared.isWeighted)
        for (float factor = starts.mostFactor * 1.25F; factor < starts.endOfWeighted; factor *= 1.25F)
            tryFactor(factor);
    for (int round = 0; round < 2; ++round) {
        const PerUnit scales = best.scale;
        improveScales(prepared.tile, levels, scales, 1, best);
    }
    return best.scale;
}

PerUnit BlockScale::unitScales() const
{
    PerUnit scales{};
    for (std::size_t u = 0; u < kMostUnits; ++u)
        scales[u] = scale * numbers[u];
    return scales;
}

BlockScale searchBlockScale(const PreparedTile& prepared, const UnitLevels& levels, const PerUnit& wanted, int least,
                            int most, std::span<const float> ends)
{
    const int units = prepared.tile.units;
    const double norm = prepared.norm[0];
    const auto lowest = static_cast<float>(least);
    const auto highest = static_cast<float>(most);
    const float extreme = *std::max_element(wanted.begin(), wanted.begin() + units,
                                            [](float a, float b) { return std::fabs(a) < std::fabs(b); });
    const float settled = levels.table ? 0 : 0.003F; // whole numbers hardly change for less
    BlockScale best;
    best.error = std::numeric_limits<float>::infinity();
    for (const float end : ends) {
        float scale = storableF16(extreme / end, norm);
        for (int round = 0; round < 2; ++round) {
            BestNumbers chosen;
            chooseNumbers(prepared.tile, levels, wanted, scale, lowest, highest, chosen);
            const float error = sumOf(chosen.error, units);
            if (error < best.error)
                best = {scale, chosen.number, error};
            const float slope = sumOver(units, [&](std::size_t u) { return chosen.number[u] * chosen.slope[u]; });
            const float curvature = sumOver(
                units, [&](std::size_t u) { return chosen.number[u] * chosen.number[u] * chosen.curvature[u]; });
            const float next = storableF16(scale + quotient(slope, curvature), norm);
            if (std::fabs(next - scale) <= settled * std::fabs(scale))
                break;
            scale = next;
        }
    }
    return best;
}

UnitAffines searchAffines(const PreparedTile& prepared, float highest, std::span<const float> cuts,
                          bool offsetBelowZero)
{
    const AffineRule rule{highest, offsetBelowZero, prepared.importance};
    BestAffines best;
    best.error.fill(std::numeric_limits<float>::infinity());
    PerUnit lowest{};
    PerUnit range{};
    for (std::size_t u = 0; u < kMostUnits; ++u) {
        lowest[u] = offsetBelowZero ? std::min(prepared.lowest[u], 0.0F) : prepared.lowest[u];
        range[u] = std::max(prepared.highest[u] - lowest[u], 0.0F);
    }
    PerUnit scales{};
    PerUnit offsets{};
    for (const float low : cuts)
        for (const float high : cuts) {
            const float part = (1 - low - high) / highest;
            for (std::size_t u = 0; u < kMostUnits; ++u) {
                scales[u] = range[u] * part;
                offsets[u] = lowest[u] + low * range[u];
            }
            if (offsetBelowZero)
                for (std::size_t u = 0; u < kMostUnits; ++u)
                    offsets[u] = std::min(offsets[u], 0.0F);
            improveAffines(prepared.tile, rule, scales, offsets, best);
        }
    for (int round = 0; round < 3; ++round) {
        scales = best.scale;
        offsets = best.offset;
        improveAffines(prepared.tile, rule, scales, offsets, best);
    }
    return {best.scale, best.offset};
}

UnitAffines BlockAffine::unitAffines() const
{
    UnitAffines affines;
    for (std::size_t u = 0; u < kMostUnits; ++u) {
        affines.scale[u] = scale * scales[u];
        affines.offset[u] = -(minimum * minima[u]);
    }
    return affines;
}

namespace {

/// For each unit the best of three whole scales around the wanted one, each with the minimum that suits it.
BestPairs choosePairs(const PreparedTile& prepared, const AffineRule& rule, const UnitAffines& wanted, float scale,
                      float minimum, float most)
{
    BestPairs chosen;
    chosen.error.fill(std::numeric_limits<float>::infinity());
    PerUnit scales{};
    PerUnit minima{};
    for (const float step : {0.0F, -1.0F, 1.0F}) {
        nearestNumbers(wanted.scale, scale, step, 0, most, scales);
        nearestNumbers(wanted.offset, -minimum, 0, 0, most, minima);
        if (tryPairs(prepared.tile, rule, scale, minimum, most, scales, minima, chosen))
            tryPairs(prepared.tile, rule, scale, minimum, most, scales, minima, chosen);
    }
    return chosen;
}

} // namespace

BlockAffine searchBlockAffine(const PreparedTile& prepared, float highest, const UnitAffines& wanted, int most,
                              std::span<const float> factors)
{
    const int units = prepared.tile.units;
    const double norm = prepared.norm[0];
    const AffineRule rule{highest, true, prepared.importance};
    const auto end = static_cast<float>(most);
    const float largest = *std::max_element(wanted.scale.begin(), wanted.scale.begin() + units);
    const float lowest = *std::min_element(wanted.offset.begin(), wanted.offset.begin() + units);
    BlockAffine best;
    best.error = std::numeric_limits<float>::infinity();
    for (const float factor : factors) {
        float scale = storableF16(factor * largest / end, norm);
        float minimum = storableF16(-factor * lowest / end, norm);
        for (int round = 0; round < 2; ++round) {
            const BestPairs chosen = choosePairs(prepared, rule, wanted, scale, minimum, end);
            const float error = sumOf(chosen.error, units);
            if (error < best.error)
                best = {scale, minimum, chosen.scale, chosen.minimum, error};
            // The least squares of both block scales: r moves by −(n·v)·Δscale + m·Δminimum.
            float ss = 0;
            float sm = 0;
            float mm = 0;
            float sr = 0;
            float mr = 0;
            for (std::size_t u = 0; u < static_cast<std::size_t>(units); ++u) {
                const float n = chosen.scale[u];
                const float m = chosen.minimum[u];
                ss += n * n * chosen.vv[u];
                sm -= n * m * chosen.v[u];
                mm += m * m * prepared.importance[u];
                sr += n * chosen.vr[u];
                mr -= m * chosen.r[u];
            }
            const float determinant = ss * mm - sm * sm;
            const bool both = determinant > 1e-5F * ss * mm && mm > 0;
            const float stepScale = both ? (mm * sr - sm * mr) / determinant : quotient(sr, ss);
            const float stepMinimum = both ? (ss * mr - sm * sr) / determinant : 0;
            const float nextScale = storableF16(scale + stepScale, norm);
            const float nextMinimum = storableF16(std::max(0.0F, minimum + stepMinimum), norm);
            if (nextScale == scale && nextMinimum == minimum)
                break;
            scale = nextScale;
            minimum = nextMinimum;
        }
    }
    return best;
}

} // namespace ql
