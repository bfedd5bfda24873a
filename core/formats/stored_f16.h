// SPDX-License-Identifier: GPL-3.0-or-later
// Scales and factors as float16: what is nearest, and bytes that hold it. Const data only.
#pragma once

#include "core/tensor/half.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace ql {

/// The bits of the nearest float16, ties to even; finite values saturate at ±65504.
inline std::uint16_t boundedF16(double value)
{
    constexpr double kLargest = 65504;
    return f16FromFloat(static_cast<float>(std::clamp(value, -kLargest, kLargest)));
}

/// What those bits restore to.
inline float toFloat16(float value)
{
    return floatFromF16(boundedF16(static_cast<double>(value)));
}

/// The index-th of float16 values that follow each other.
inline float f16At(const std::byte* values, std::int64_t index)
{
    std::uint16_t bits = 0;
    std::memcpy(&bits, values + 2 * index, sizeof bits);
    return floatFromF16(bits);
}

/// Stores boundedF16(value) as the index-th and returns what it restores to.
inline float putF16At(std::byte* values, std::int64_t index, double value)
{
    const std::uint16_t bits = boundedF16(value);
    std::memcpy(values + 2 * index, &bits, sizeof bits);
    return floatFromF16(bits);
}

} // namespace ql
