// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/tensor/half.h"

#include <array>
#include <cmath>
#include <limits>

namespace ql {

namespace {

/// Value of an all-finite ExMy code without its sign, bias 2^(e-1)-1.
constexpr double minifloat(unsigned code, int exponentBits, int mantissaBits)
{
    const int bias = (1 << (exponentBits - 1)) - 1;
    const int exponent = static_cast<int>(code >> static_cast<unsigned>(mantissaBits));
    const double mantissa =
        static_cast<double>(code & ((1U << static_cast<unsigned>(mantissaBits)) - 1U)) / (1 << mantissaBits);
    double scale = 1;
    const int power = exponent == 0 ? 1 - bias : exponent - bias;
    for (int i = 0; i < power; ++i)
        scale *= 2;
    for (int i = 0; i > power; --i)
        scale /= 2;
    return scale * (exponent == 0 ? mantissa : 1 + mantissa);
}

template<int ExponentBits, int MantissaBits, unsigned FirstSpecial>
constexpr std::array<float, 256> table()
{
    std::array<float, 256> values{};
    for (unsigned code = 0; code < 256; ++code) {
        const unsigned magnitude = code & 127U;
        float value = static_cast<float>(minifloat(magnitude, ExponentBits, MantissaBits));
        if (magnitude >= FirstSpecial)
            value = FirstSpecial == 0x7c && magnitude == 0x7c ? std::numeric_limits<float>::infinity()
                                                              : std::numeric_limits<float>::quiet_NaN();
        values[code] = code >= 128 ? -value : value;
    }
    return values;
}

constexpr auto kE4m3 = table<4, 3, 0x7f>();
constexpr auto kE5m2 = table<5, 2, 0x7c>();

/// Nearest code of a table whose magnitudes rise with the code; ties to the even code; saturates.
std::uint8_t nearest(const std::array<float, 256>& values, unsigned maxFinite, float value)
{
    const auto sign = static_cast<std::uint8_t>(std::signbit(value) ? 0x80 : 0);
    if (std::isnan(value))
        return static_cast<std::uint8_t>(sign | 0x7fU);
    const double magnitude = std::fabs(static_cast<double>(value));
    unsigned low = 0;
    unsigned high = maxFinite;
    while (low < high) { // the largest code with values[code] <= magnitude
        const unsigned middle = (low + high + 1) / 2;
        if (static_cast<double>(values[middle]) <= magnitude)
            low = middle;
        else
            high = middle - 1;
    }
    if (low < maxFinite) {
        const double middle = (static_cast<double>(values[low]) + static_cast<double>(values[low + 1])) / 2;
        if (magnitude > middle || (magnitude == middle && (low & 1U) != 0))
            ++low;
    }
    return static_cast<std::uint8_t>(sign | low);
}

} // namespace

float floatFromE8m0(std::uint8_t bits)
{
    return bits == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0F, static_cast<int>(bits) - 127);
}
float floatFromE4m3(std::uint8_t bits)
{
    return kE4m3[bits];
}
float floatFromE5m2(std::uint8_t bits)
{
    return kE5m2[bits];
}
std::uint8_t e4m3FromFloat(float value)
{
    return nearest(kE4m3, 0x7e, value);
}
std::uint8_t e5m2FromFloat(float value)
{
    return nearest(kE5m2, 0x7b, value);
}

} // namespace ql
