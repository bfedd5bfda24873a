// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/element_coder.h"

#include "core/tensor/half.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace ql {

ElementCoder::ElementCoder(const Scheme& scheme) : kind(scheme.element->kind)
{
    const NumberFormat& format = *scheme.element;
    bits = format.bits;
    maxLevel = format.maxLevel;
    unsignedCodes = scheme.zeroPoint == ZeroPoint::minimum;
    if (kind == FormatKind::integer) {
        const int half = 1 << (bits - 1);
        low = unsignedCodes ? 0 : scheme.restricted ? 1 - half : -half;
        high = unsignedCodes ? 2 * half - 1 : half - 1;
        step = format.levels[1];
        for (int code = low; code <= high; ++code)
            levels[static_cast<std::uint8_t>(code)] = static_cast<float>(code) * step;
        return;
    }
    exponentBits = format.exponentBits;
    mantissaBits = format.mantissaBits;
    bias = exponentBits > 0 ? (1 << (exponentBits - 1)) - 1 : 0;
    std::copy(format.levels.begin(), format.levels.end(), levels.begin());
    if (kind != FormatKind::codebook)
        return;
    levelCount = static_cast<int>(format.levels.size());
    for (std::size_t i = 0; i + 1 < format.levels.size(); ++i) {
        const double middle = (static_cast<double>(levels[i]) + static_cast<double>(levels[i + 1])) / 2;
        auto threshold = static_cast<float>(middle);
        const bool tieGoesUp = i % 2 != 0;
        if (static_cast<double>(threshold) < middle || (static_cast<double>(threshold) == middle && !tieGoesUp))
            threshold = std::nextafter(threshold, std::numeric_limits<float>::infinity());
        thresholds[i] = threshold;
    }
}

namespace {

float quotient(const Affine& affine, float weight)
{
    const float w = std::isnan(weight) ? 0.0F : weight;
    return affine.scale == 0 ? 0.0F : (w - affine.minimum) / affine.scale;
}

std::uint8_t minifloatCode(const ElementCoder& coder, float y)
{
    const auto bits = std::bit_cast<std::uint32_t>(y);
    const float magnitude = std::min(std::fabs(y), coder.maxLevel);
    const auto shift = static_cast<std::uint32_t>(23 - coder.mantissaBits);
    const float smallestNormal = std::ldexp(1.0F, 1 - coder.bias);
    std::uint32_t code = 0;
    if (magnitude < smallestNormal) {
        const float magic = std::ldexp(1.0F, 1 - coder.bias + static_cast<int>(shift));
        code = std::bit_cast<std::uint32_t>(magnitude + magic) - std::bit_cast<std::uint32_t>(magic);
    } else {
        const auto m = std::bit_cast<std::uint32_t>(magnitude);
        const std::uint32_t rounded = (m + ((1U << (shift - 1)) - 1) + ((m >> shift) & 1U)) >> shift;
        code =
            rounded - (static_cast<std::uint32_t>(127 - coder.bias) << static_cast<std::uint32_t>(coder.mantissaBits));
    }
    const std::uint32_t sign = code == 0 ? 0 : bits >> 31U;
    return static_cast<std::uint8_t>(code | sign << static_cast<std::uint32_t>(coder.bits - 1));
}

std::uint8_t codeOf(const ElementCoder& coder, const Affine& affine, float weight)
{
    const float y = quotient(affine, weight);
    if (coder.kind == FormatKind::integer) {
        const float q = std::clamp(std::nearbyint(y) + static_cast<float>(affine.zero), static_cast<float>(coder.low),
                                   static_cast<float>(coder.high));
        return static_cast<std::uint8_t>(static_cast<int>(q));
    }
    if (coder.kind == FormatKind::minifloat)
        return minifloatCode(coder, y);
    std::uint8_t code = 0;
    for (int i = 0; i + 1 < coder.levelCount; ++i)
        code = static_cast<std::uint8_t>(code + (y >= coder.thresholds[static_cast<std::size_t>(i)] ? 1 : 0));
    return code;
}

/// The scale of integer codes: mxint8's levels are codes times 2⁻⁶, and that factor is exact in the scale.
Affine withStep(const ElementCoder& coder, Affine affine)
{
    affine.scale *= coder.step;
    return affine;
}

float valueOf(const ElementCoder& coder, const Affine& affine, std::uint8_t code)
{
    if (coder.kind == FormatKind::integer) {
        if (coder.unsignedCodes)
            return static_cast<float>(code) * affine.scale + affine.minimum;
        return static_cast<float>(static_cast<std::int8_t>(code) - affine.zero) * affine.scale;
    }
    return coder.levels[code] * affine.scale;
}

/// Sixteen partial sums, element i in sum i mod 16, added in a fixed tree.
double treeSum(std::array<double, 16>& sums)
{
    for (std::size_t width = 8; width > 0; width /= 2)
        for (std::size_t i = 0; i < width; ++i)
            sums[i] += sums[i + width];
    return sums[0];
}

} // namespace

void encodeRun(const ElementCoder& coder, const Affine& affine, const float* weights, std::int64_t n,
               std::uint8_t* codes)
{
    const Affine stepped = withStep(coder, affine);
    for (std::int64_t i = 0; i < n; ++i)
        codes[i] = codeOf(coder, stepped, weights[i]);
}

void encodeRunRounded(const ElementCoder& coder, const Affine& affine, QuotientType type, const float* weights,
                      std::int64_t n, std::uint8_t* codes)
{
    const auto rounded = [type](float y) {
        return type == QuotientType::bf16  ? floatFromBf16(bf16FromFloat(y))
               : type == QuotientType::f16 ? floatFromF16(f16FromFloat(y))
                                           : y;
    };
    for (std::int64_t i = 0; i < n; ++i) {
        const float y = rounded(rounded(quotient(affine, weights[i])) + static_cast<float>(affine.zero));
        codes[i] = static_cast<std::uint8_t>(static_cast<int>(
            std::nearbyint(std::clamp(y, static_cast<float>(coder.low), static_cast<float>(coder.high)))));
    }
}

void decodeRun(const ElementCoder& coder, const Affine& affine, const std::uint8_t* codes, std::int64_t n, float* out)
{
    const Affine stepped = withStep(coder, affine);
    for (std::int64_t i = 0; i < n; ++i)
        out[i] = valueOf(coder, stepped, codes[i]);
}

double squaredErrorOfRun(const ElementCoder& coder, const Affine& affine, const float* weights, std::int64_t n)
{
    const Affine stepped = withStep(coder, affine);
    std::array<double, 16> sums{};
    for (std::int64_t i = 0; i < n; ++i) {
        const double difference = static_cast<double>(weights[i]) -
                                  static_cast<double>(valueOf(coder, stepped, codeOf(coder, stepped, weights[i])));
        sums[static_cast<std::size_t>(i % 16)] += difference * difference;
    }
    return treeSum(sums);
}

void RunRange::merge(const RunRange& other)
{
    if (!other.any)
        return;
    min = any ? std::min(min, other.min) : other.min;
    max = any ? std::max(max, other.max) : other.max;
    absMax = std::max(absMax, other.absMax);
    any = true;
}

RunRange rangeOfRun(const float* weights, std::int64_t n)
{
    RunRange range;
    for (std::int64_t i = 0; i < n; ++i)
        if (std::isfinite(weights[i]))
            range.merge({std::fabs(weights[i]), weights[i], weights[i], true});
    return range;
}

RunError errorOfRun(const float* weights, const float* restored, std::int64_t n)
{
    RunError error;
    std::array<double, 16> differences{};
    std::array<double, 16> squares{};
    for (std::int64_t i = 0; i < n; ++i) {
        const auto lane = static_cast<std::size_t>(i % 16);
        const auto w = static_cast<double>(weights[i]);
        if (!std::isfinite(w))
            continue;
        const double difference = w - static_cast<double>(restored[i]);
        differences[lane] += difference * difference;
        squares[lane] += w * w;
        error.maxAbsError = std::max(error.maxAbsError, std::fabs(difference));
        ++error.count;
    }
    error.squaredError = treeSum(differences);
    error.squares = treeSum(squares);
    return error;
}

} // namespace ql
