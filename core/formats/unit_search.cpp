// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/unit_search.h"

#include "core/tensor/half.h"

#include <algorithm>
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

float sumOf(const PerUnit& values, int units)
{
    float sum = 0;
    for (int u = 0; u < units; ++u)
        sum += values[static_cast<std::size_t>(u)];
    return sum;
}

int nearestWhole(float x, int least, int most)
{
    const float bounded = std::clamp(x, static_cast<float>(least), static_cast<float>(most));
    return static_cast<int>(std::nearbyint(std::isnan(bounded) ? 0.0F : bounded));
}

float quotient(float a, float b)
{
    return std::fabs(b) > 1e-30F ? a / b : 0;
}

} // namespace

void prepareTile(const float* weights, const float* importance, int count, int units, NormOf normOf,
                 PreparedTile& prepared)
{
    const int length = kTileWeights / units;
    prepared.tile.units = units;
    prepared.isZero = true;
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

float storableF16(float scale, double norm)
{
    return static_cast<float>(static_cast<double>(floatFromF16(f16Bits(scale, norm))) * norm);
}

std::uint16_t f16Bits(float scale, double norm)
{
    constexpr double kLargest = 65504;
    return f16FromFloat(static_cast<float>(std::clamp(static_cast<double>(scale) / norm, -kLargest, kLargest)));
}

PerUnit searchScales(const PreparedTile& prepared, const UnitLevels& levels, const ScaleStarts& starts)
{
    const int units = prepared.tile.units;
    const float end = std::max(-levels.low, levels.high);
    PerUnit best{};
    PerUnit leastError;
    leastError.fill(std::numeric_limits<float>::infinity());
    PerUnit scales{};
    ScaleSums sums;
    const auto keepBetter = [&] {
        for (std::size_t u = 0; u < static_cast<std::size_t>(units); ++u) {
            const float step = quotient(sums.slope[u], sums.curvature[u]);
            const float error = sums.error[u] - step * sums.slope[u];
            const bool better = error < leastError[u];
            leastError[u] = better ? error : leastError[u];
            best[u] = better ? scales[u] + step : best[u];
        }
    };
    for (int sign = 1; sign >= (starts.bothSigns ? -1 : 1); sign -= 2)
        for (int i = 0; i < starts.count; ++i) {
            const float factor = starts.leastFactor + (starts.mostFactor - starts.leastFactor) * static_cast<float>(i) /
                                                          static_cast<float>(std::max(1, starts.count - 1));
            for (std::size_t u = 0; u < static_cast<std::size_t>(units); ++u) {
                const bool negative = starts.bothSigns ? sign < 0 : prepared.highest[u] > -prepared.lowest[u];
                const float largest = std::max(prepared.highest[u], -prepared.lowest[u]) / (end * factor);
                scales[u] = negative ? -largest : largest;
            }
            sumWithScales(prepared.tile, levels, scales, sums);
            keepBetter();
        }
    for (int round = 0; round < 2; ++round) {
        scales = best;
        sumWithScales(prepared.tile, levels, scales, sums);
        keepBetter();
    }
    return best;
}

PerUnit BlockScale::unitScales(int units) const
{
    PerUnit scales{};
    for (std::size_t u = 0; u < static_cast<std::size_t>(units); ++u)
        scales[u] = scale * static_cast<float>(numbers[u]);
    return scales;
}

BlockScale searchBlockScale(const PreparedTile& prepared, const UnitLevels& levels, const PerUnit& wanted, int least,
                            int most)
{
    const int units = prepared.tile.units;
    const auto count = static_cast<std::size_t>(units);
    const double norm = prepared.norm[0];
    const float extreme = *std::max_element(wanted.begin(), wanted.begin() + units,
                                            [](float a, float b) { return std::fabs(a) < std::fabs(b); });
    BlockScale best;
    best.error = std::numeric_limits<float>::infinity();
    ScaleSums sums;
    ScaleSums chosen;
    // The largest scale is the last number on one side, or near it, or on the other.
    const float ends[] = {static_cast<float>(least), static_cast<float>(least) * 0.95F, static_cast<float>(most),
                          static_cast<float>(most) * 0.95F};
    for (const float end : ends) {
        BlockScale tried;
        tried.scale = storableF16(extreme / end, norm);
        for (int round = 0; round < 2; ++round) {
            std::array<int, kMostUnits> centre{};
            for (std::size_t u = 0; u < count; ++u)
                centre[u] = nearestWhole(quotient(wanted[u], tried.scale), least, most);
            chosen.error.fill(std::numeric_limits<float>::infinity());
            for (const int step : {0, -1, 1}) {
                PerUnit scales{};
                for (std::size_t u = 0; u < count; ++u)
                    scales[u] = tried.scale * static_cast<float>(std::clamp(centre[u] + step, least, most));
                sumWithScales(prepared.tile, levels, scales, sums);
                for (std::size_t u = 0; u < count; ++u)
                    if (sums.error[u] < chosen.error[u]) {
                        chosen.error[u] = sums.error[u];
                        chosen.slope[u] = sums.slope[u];
                        chosen.curvature[u] = sums.curvature[u];
                        tried.numbers[u] = std::clamp(centre[u] + step, least, most);
                    }
            }
            tried.error = sumOf(chosen.error, units);
            if (tried.error < best.error)
                best = tried;
            float slope = 0;
            float curvature = 0;
            for (std::size_t u = 0; u < count; ++u) {
                const auto number = static_cast<float>(tried.numbers[u]);
                slope += number * chosen.slope[u];
                curvature += number * number * chosen.curvature[u];
            }
            const float next = storableF16(tried.scale + quotient(slope, curvature), norm);
            if (next == tried.scale)
                break;
            tried.scale = next;
        }
    }
    return best;
}

namespace {

/// The least squares of scale and offset for fixed codes, and the error then.
struct AffineFit {
    float scale, offset, error;
};
AffineFit fitAffine(const AffineSums& sums, std::size_t u, float scale, float offset, float importance,
                    bool offsetBelowZero)
{
    const float v = sums.v[u];
    const float vv = sums.vv[u];
    const float r = sums.r[u];
    const float vr = sums.vr[u];
    const float determinant = vv * importance - v * v;
    float stepScale = 0;
    float stepOffset = quotient(r, importance);
    if (determinant > 1e-5F * vv * importance) {
        stepScale = (importance * vr - v * r) / determinant;
        stepOffset = (vv * r - v * vr) / determinant;
    }
    if (!offsetBelowZero || offset + stepOffset <= 0)
        return {scale + stepScale, offset + stepOffset, sums.error[u] - stepScale * vr - stepOffset * r};
    // Without an offset: what it took away is back in the residuals.
    const float slope = vr + offset * v;
    const float step = quotient(slope, vv);
    return {scale + step, 0, sums.error[u] + offset * (2 * r + offset * importance) - step * slope};
}

} // namespace

UnitAffines searchAffines(const PreparedTile& prepared, float highest, std::span<const float> cuts,
                          bool offsetBelowZero)
{
    const auto count = static_cast<std::size_t>(prepared.tile.units);
    UnitAffines best;
    PerUnit leastError;
    leastError.fill(std::numeric_limits<float>::infinity());
    UnitAffines tried;
    AffineSums sums;
    const auto keepBetter = [&] {
        for (std::size_t u = 0; u < count; ++u) {
            const AffineFit fit =
                fitAffine(sums, u, tried.scale[u], tried.offset[u], prepared.importance[u], offsetBelowZero);
            const bool better = fit.error < leastError[u];
            leastError[u] = better ? fit.error : leastError[u];
            best.scale[u] = better ? fit.scale : best.scale[u];
            best.offset[u] = better ? fit.offset : best.offset[u];
        }
    };
    for (const float low : cuts)
        for (const float high : cuts) {
            for (std::size_t u = 0; u < count; ++u) {
                const float lowest = offsetBelowZero ? std::min(prepared.lowest[u], 0.0F) : prepared.lowest[u];
                const float range = prepared.highest[u] - lowest;
                tried.offset[u] = lowest + low * range;
                tried.offset[u] = offsetBelowZero ? std::min(tried.offset[u], 0.0F) : tried.offset[u];
                tried.scale[u] = std::max(0.0F, range * (1 - low - high)) / highest;
            }
            sumWithOffsets(prepared.tile, highest, tried.scale, tried.offset, sums);
            keepBetter();
        }
    for (int round = 0; round < 3; ++round) {
        tried = best;
        sumWithOffsets(prepared.tile, highest, tried.scale, tried.offset, sums);
        keepBetter();
    }
    return best;
}

UnitAffines BlockAffine::unitAffines(int units) const
{
    UnitAffines affines;
    for (std::size_t u = 0; u < static_cast<std::size_t>(units); ++u) {
        affines.scale[u] = scale * static_cast<float>(scales[u]);
        affines.offset[u] = -(minimum * static_cast<float>(minima[u]));
    }
    return affines;
}

namespace {

/// For each unit the best of three whole scales around the wanted one, each with the minimum that suits it.
AffineSums chooseNumbers(const PreparedTile& prepared, float highest, const UnitAffines& wanted, int most,
                         BlockAffine& block)
{
    const auto count = static_cast<std::size_t>(prepared.tile.units);
    AffineSums sums;
    AffineSums chosen;
    chosen.error.fill(std::numeric_limits<float>::infinity());
    std::array<int, kMostUnits> scales{};
    std::array<int, kMostUnits> minima{};
    UnitAffines tried;
    const auto measure = [&] {
        for (std::size_t u = 0; u < count; ++u) {
            tried.scale[u] = block.scale * static_cast<float>(scales[u]);
            tried.offset[u] = -(block.minimum * static_cast<float>(minima[u]));
        }
        sumWithOffsets(prepared.tile, highest, tried.scale, tried.offset, sums);
        for (std::size_t u = 0; u < count; ++u)
            if (sums.error[u] < chosen.error[u]) {
                chosen.error[u] = sums.error[u];
                chosen.r[u] = sums.r[u];
                chosen.vr[u] = sums.vr[u];
                chosen.v[u] = sums.v[u];
                chosen.vv[u] = sums.vv[u];
                block.scales[u] = scales[u];
                block.minima[u] = minima[u];
            }
    };
    for (const int step : {0, -1, 1}) {
        for (std::size_t u = 0; u < count; ++u) {
            const float number = quotient(wanted.scale[u], block.scale);
            scales[u] = nearestWhole(std::nearbyint(number) + static_cast<float>(step), 0, most);
            minima[u] = nearestWhole(quotient(-wanted.offset[u], block.minimum), 0, most);
        }
        measure();
        bool moved = false;
        for (std::size_t u = 0; u < count; ++u) { // the codes stay: the offset that suits the rounded scale
            const float offset = tried.offset[u] + quotient(sums.r[u], prepared.importance[u]);
            const int better = nearestWhole(quotient(-offset, block.minimum), 0, most);
            moved = moved || better != minima[u];
            minima[u] = better;
        }
        if (moved)
            measure();
    }
    return chosen;
}

} // namespace

BlockAffine searchBlockAffine(const PreparedTile& prepared, float highest, const UnitAffines& wanted, int most,
                              std::span<const float> factors)
{
    const int units = prepared.tile.units;
    const double norm = prepared.norm[0];
    const float largest = *std::max_element(wanted.scale.begin(), wanted.scale.begin() + units);
    const float lowest = *std::min_element(wanted.offset.begin(), wanted.offset.begin() + units);
    BlockAffine best;
    best.error = std::numeric_limits<float>::infinity();
    for (const float factor : factors) {
        BlockAffine tried;
        tried.scale = storableF16(factor * largest / static_cast<float>(most), norm);
        tried.minimum = storableF16(-factor * lowest / static_cast<float>(most), norm);
        for (int round = 0; round < 2; ++round) {
            const AffineSums sums = chooseNumbers(prepared, highest, wanted, most, tried);
            tried.error = sumOf(sums.error, units);
            if (tried.error < best.error)
                best = tried;
            // The least squares of both block scales: r moves by −(n·v)·Δscale + m·Δminimum.
            float ss = 0;
            float sm = 0;
            float mm = 0;
            float sr = 0;
            float mr = 0;
            for (std::size_t u = 0; u < static_cast<std::size_t>(units); ++u) {
                const auto n = static_cast<float>(tried.scales[u]);
                const auto m = static_cast<float>(tried.minima[u]);
                ss += n * n * sums.vv[u];
                sm -= n * m * sums.v[u];
                mm += m * m * prepared.importance[u];
                sr += n * sums.vr[u];
                mr -= m * sums.r[u];
            }
            const float determinant = ss * mm - sm * sm;
            const bool both = determinant > 1e-5F * ss * mm && mm > 0;
            const float stepScale = both ? (mm * sr - sm * mr) / determinant : quotient(sr, ss);
            const float stepMinimum = both ? (ss * mr - sm * sr) / determinant : 0;
            const float scale = storableF16(tried.scale + stepScale, norm);
            const float minimum = storableF16(std::max(0.0F, tried.minimum + stepMinimum), norm);
            if (scale == tried.scale && minimum == tried.minimum)
                break;
            tried.scale = scale;
            tried.minimum = minimum;
        }
    }
    return best;
}

} // namespace ql
