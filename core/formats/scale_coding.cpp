// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/scale_coding.h"

#include "core/tensor/half.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace ql {

namespace {

struct CodingRow {
    ScaleCoding coding;
    std::string_view word;
    int bits;
    float smallest; // positive
    float largest;
    float epsilon; // distance from 1 to the next value
};
constexpr std::array kCodings{
    CodingRow{ScaleCoding::f32, "f32", 32, 0x1p-149F, 0x1.fffffep127F, 0x1p-23F},
    CodingRow{ScaleCoding::f16, "f16", 16, 0x1p-24F, 65504, 0x1p-10F},
    CodingRow{ScaleCoding::bf16, "bf16", 16, 0x1p-133F, 0x1.fep127F, 0x1p-7F},
    CodingRow{ScaleCoding::e8m0, "e8m0", 8, 0x1p-127F, 0x1p127F, 1},
    CodingRow{ScaleCoding::ue4m3, "ue4m3", 8, 0x1p-9F, 448, 0x1p-3F},
};
const CodingRow& row(ScaleCoding coding)
{
    return kCodings[static_cast<std::size_t>(coding)];
}

float nearestPowerOfTwo(double value)
{
    if (value <= 0x1p-127)
        return 0x1p-127F;
    int exponent = 0;
    const double mantissa = 2 * std::frexp(value, &exponent); // [1, 2); its square is exact for a float
    const int rounded = exponent - 1 + (mantissa * mantissa >= 2 ? 1 : 0);
    return std::ldexp(1.0F, std::clamp(rounded, -127, 127));
}

/// Nearest multiple of the last place of a mantissa of `mantissaBits` bits, coarser below the smallest normal; ties to
/// even. For finite values ≥ 0.
float roundMantissa(float value, int mantissaBits, float smallestNormal)
{
    const auto shift = static_cast<std::uint32_t>(23 - mantissaBits);
    if (value < smallestNormal) {
        const float magic = smallestNormal * static_cast<float>(1U << shift);
        return (value + magic) - magic;
    }
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded = (bits + ((1U << (shift - 1)) - 1) + ((bits >> shift) & 1U)) >> shift << shift;
    return std::bit_cast<float>(rounded);
}

} // namespace

int scaleBits(ScaleCoding coding)
{
    return row(coding).bits;
}

std::string_view scaleCodingWord(ScaleCoding coding)
{
    return row(coding).word;
}

std::optional<ScaleCoding> scaleCodingFromWord(std::string_view word)
{
    for (const CodingRow& entry : kCodings)
        if (entry.word == word)
            return entry.coding;
    return std::nullopt;
}

float smallestScale(ScaleCoding coding)
{
    return row(coding).smallest;
}

float largestScale(ScaleCoding coding)
{
    return row(coding).largest;
}

float scaleEpsilon(ScaleCoding coding)
{
    return row(coding).epsilon;
}

float roundScale(ScaleCoding coding, float scale)
{
    const float finite = std::min(scale, row(coding).largest);
    switch (coding) {
    case ScaleCoding::f32:
        return finite;
    case ScaleCoding::f16:
        return std::min(roundMantissa(finite, 10, 0x1p-14F), row(coding).largest);
    case ScaleCoding::bf16:
        return std::min(roundMantissa(finite, 7, 0x1p-126F), row(coding).largest);
    case ScaleCoding::e8m0:
        return nearestPowerOfTwo(static_cast<double>(finite));
    case ScaleCoding::ue4m3:
        return roundMantissa(finite, 3, 0x1p-6F);
    }
    return finite;
}

float storableScale(ScaleCoding coding, float scale)
{
    return std::max(roundScale(coding, scale), row(coding).smallest);
}

float neighbourScale(ScaleCoding coding, float scale, int steps)
{
    std::int32_t code = 0;
    switch (coding) {
    case ScaleCoding::f32:
        code = std::bit_cast<std::int32_t>(scale);
        break;
    case ScaleCoding::f16:
        code = f16FromFloat(scale);
        break;
    case ScaleCoding::bf16:
        code = bf16FromFloat(scale);
        break;
    case ScaleCoding::e8m0:
        return std::ldexp(1.0F, std::clamp(std::ilogb(scale) + steps, -127, 127));
    case ScaleCoding::ue4m3:
        code = e4m3FromFloat(scale);
        break;
    }
    code += steps;
    const auto bits = static_cast<std::uint32_t>(std::max(code, 1));
    float value = 0;
    switch (coding) {
    case ScaleCoding::f16:
        value = floatFromF16(static_cast<std::uint16_t>(std::min(bits, 0x7bffU)));
        break;
    case ScaleCoding::bf16:
        value = floatFromBf16(static_cast<std::uint16_t>(std::min(bits, 0x7f7fU)));
        break;
    case ScaleCoding::ue4m3:
        value = floatFromE4m3(static_cast<std::uint8_t>(std::min(bits, 0x7eU)));
        break;
    default:
        value = std::bit_cast<float>(std::min(bits, 0x7f7fffffU));
        break;
    }
    return value;
}

} // namespace ql
