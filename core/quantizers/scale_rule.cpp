// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/scale_rule.h"

#include "core/formats/scale_coding.h"
#include "core/tensor/half.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ql {

namespace {

float roundTo(QuotientType type, float value)
{
    return type == QuotientType::bf16  ? floatFromBf16(bf16FromFloat(value))
           : type == QuotientType::f16 ? floatFromF16(f16FromFloat(value))
                                       : value;
}

QuotientType commonType(Dtype weights, ScaleCoding scale)
{
    if (weights == Dtype::bf16 && scale == ScaleCoding::bf16)
        return QuotientType::bf16;
    if (weights == Dtype::f16 && scale == ScaleCoding::f16)
        return QuotientType::f16;
    return QuotientType::f32;
}

/// ⌈log2(a/q)⌉, exact, subnormals included.
int ceilLog2Ratio(float a, float q)
{
    int exponentA = 0;
    int exponentQ = 0;
    const float mantissaA = std::frexp(a, &exponentA);
    const float mantissaQ = std::frexp(q, &exponentQ);
    return exponentA - exponentQ + (mantissaA > mantissaQ ? 1 : 0);
}

float powerOfTwo(int exponent)
{
    return std::ldexp(1.0F, std::clamp(exponent, -127, 127));
}

/// (b − a)/steps in float, without overflow for ranges that fill float.
float stepOf(float a, float b, int steps)
{
    const float difference = b - a;
    if (std::isfinite(difference))
        return difference / static_cast<float>(steps);
    return static_cast<float>((static_cast<double>(b) - static_cast<double>(a)) / steps);
}

} // namespace

ScaleRule::ScaleRule(const Scheme& scheme, RangeRule rule, Dtype weights, float tensorScale)
    : m_scheme(scheme), m_rule(rule), m_tensorScale(tensorScale)
{
    const NumberFormat& format = *scheme.element;
    m_largestFactor = scheme.zeroPoint == ZeroPoint::none
                          ? std::max(format.maxLevel, std::fabs(format.grid.levels.front()))
                          : static_cast<float>(1 << format.bits);
    m_largestScale = std::numeric_limits<float>::max() / m_largestFactor / m_tensorScale;
    m_isPlain = scheme.zeroPoint == ZeroPoint::none && scheme.scale == ScaleCoding::f32 && rule != RangeRule::ct;
    if (rule == RangeRule::ct)
        m_quotient = commonType(weights, scheme.scale);
}

float ScaleRule::storable(float scale) const
{
    float stored = storableScale(m_scheme.scale, std::min(scale, m_largestScale));
    while (!std::isfinite(stored * m_tensorScale * m_largestFactor))
        stored = neighbourScale(m_scheme.scale, stored, -1);
    return stored;
}

float ScaleRule::symmetricScale(float absMax) const
{
    const float q = m_scheme.element->maxLevel;
    if (m_scheme.scale == ScaleCoding::e8m0) {
        switch (m_rule) {
        case RangeRule::ocp:
            return storable(powerOfTwo(std::ilogb(absMax) - std::ilogb(q)));
        case RangeRule::round:
            return storable(absMax / q);
        default:
            return storable(powerOfTwo(ceilLog2Ratio(absMax, q)));
        }
    }
    if (m_rule == RangeRule::ct) {
        const int codes = 1 << m_scheme.element->bits;
        return storable(roundTo(m_quotient, absMax / (static_cast<float>(codes - 1) / 2)));
    }
    return storable(absMax / q / m_tensorScale);
}

int ScaleRule::zeroFor(float low, float scale) const
{
    const int half = 1 << (m_scheme.element->bits - 1);
    const float effective = scale * m_tensorScale;
    const float shift = effective == 0 ? 0 : roundTo(m_quotient, low / effective);
    const float zero = roundTo(m_quotient, static_cast<float>(-half) - shift);
    return static_cast<int>(std::nearbyint(std::clamp(zero, static_cast<float>(-half), static_cast<float>(half - 1))));
}

RunParameters ScaleRule::withScale(const RunRange& range, float scale) const
{
    RunParameters parameters{.scale = scale, .zero = 0, .minimum = 0};
    if (m_scheme.zeroPoint == ZeroPoint::integer)
        parameters.zero = zeroFor(std::min(range.min, 0.0F), scale);
    return parameters;
}

RunParameters ScaleRule::chooseShrunk(const RunRange& range, float factor) const
{
    const int steps = (1 << std::min(m_scheme.element->bits, 8)) - 1;
    if (m_scheme.zeroPoint == ZeroPoint::minimum) {
        const float middle = range.min / 2 + range.max / 2;
        const float low = factor == 1 ? range.min : middle - factor * (middle - range.min);
        const float high = factor == 1 ? range.max : middle + factor * (range.max - middle);
        const float largest = largestScale(m_scheme.scale);
        const auto sign = low < 0 ? -1.0F : 1.0F;
        RunParameters parameters;
        parameters.minimum = sign * roundScale(m_scheme.scale, std::min(std::fabs(low), largest));
        // The scale reaches the top from the minimum as stored; a constant run needs none.
        const float step = std::max(stepOf(low, high, steps), 0.0F);
        parameters.scale = high > low ? storable(step) : 1;
        return parameters;
    }
    if (range.absMax == 0) {
        RunParameters parameters;
        parameters.scale = m_rule == RangeRule::ct       ? scaleEpsilon(m_scheme.scale)
                           : m_scheme.element->hasZero() ? 1
                                                         : roundScale(m_scheme.scale, 0);
        return parameters;
    }
    if (m_scheme.zeroPoint == ZeroPoint::none)
        return {.scale = symmetricScale(range.absMax * factor), .zero = 0, .minimum = 0};
    RunRange shrunk;
    shrunk.min = std::min(range.min, 0.0F) * factor;
    shrunk.max = std::max(range.max, 0.0F) * factor;
    const float width = roundTo(m_quotient, shrunk.max - shrunk.min);
    const float step = std::isfinite(width) ? roundTo(m_quotient, width / static_cast<float>(steps))
                                            : stepOf(shrunk.min, shrunk.max, steps);
    float scale = step / m_tensorScale;
    if (m_scheme.scale == ScaleCoding::e8m0)
        scale = m_rule == RangeRule::round ? roundScale(ScaleCoding::e8m0, scale)
                                           : powerOfTwo(scale > 0 ? ceilLog2Ratio(scale, 1) : -127);
    return withScale(shrunk, storable(scale));
}

namespace {

/// s·t = s/G for every ue4m3 scale s, G = fl(1/t): scales are odd numbers below 16 times powers of two.
bool dividesAsItMultiplies(float t)
{
    const float reciprocal = 1 / t;
    for (int odd = 1; odd < 16; odd += 2)
        if (static_cast<float>(odd) * t != static_cast<float>(odd) / reciprocal)
            return false;
    return true;
}

} // namespace

float tensorScaleFor(const Scheme& scheme, float absMax)
{
    if (scheme.scale != ScaleCoding::ue4m3 || absMax == 0)
        return 1;
    const float wanted = std::max(absMax / (448 * scheme.element->maxLevel), 0x1p-149F);
    constexpr int kSteps = 4096; // the widest gap between two such floats is 3328 steps
    float t = wanted;
    for (int i = 0; i < kSteps && std::isnormal(t) && std::isnormal(1 / t); ++i) {
        if (dividesAsItMultiplies(t))
            return t;
        t = std::nextafter(t, std::numeric_limits<float>::infinity());
    }
    return wanted;
}

} // namespace ql
