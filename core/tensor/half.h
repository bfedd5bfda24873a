// SPDX-License-Identifier: GPL-3.0-or-later
// Scalar conversions of the small floating-point types, as bit patterns. To small: round to nearest, ties to even; NaN
// stays NaN. f16 and bf16 overflow to infinity; f8_e4m3 (no infinity) and f4/f6 saturate at the largest finite value;
// f8_e5m2 saturates too (OCP saturating mode). Subnormals are kept.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace ql {

inline float floatFromBf16(std::uint16_t bits)
{
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}
inline std::uint16_t bf16FromFloat(float value)
{
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7fffffffU) > 0x7f800000U)
        return static_cast<std::uint16_t>((bits >> 16U) | 0x40U);
    return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U);
}
#ifdef __FLT16_MANT_DIG__
using Half = _Float16;
#else
using Half = __fp16; // clang before 15 on x86, and so clang-tidy
#endif
inline float floatFromF16(std::uint16_t bits)
{
    Half half;
    std::memcpy(&half, &bits, sizeof half);
    return static_cast<float>(half);
}
inline std::uint16_t f16FromFloat(float value)
{
    const auto half = static_cast<Half>(value);
    std::uint16_t bits = 0;
    std::memcpy(&bits, &half, sizeof bits);
    return bits;
}

/// value = 2^(bits-127); 255 is NaN.
float floatFromE8m0(std::uint8_t bits);

/// OCP 8-bit floats.
float floatFromE4m3(std::uint8_t bits);
float floatFromE5m2(std::uint8_t bits);
std::uint8_t e4m3FromFloat(float value);
std::uint8_t e5m2FromFloat(float value);

} // namespace ql
