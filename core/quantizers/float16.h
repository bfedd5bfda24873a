// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/tensor/half.h"

#include <algorithm>

namespace ql {

/// The nearest float16 value, ties to even; finite values saturate at ±65504.
inline float toFloat16(float value)
{
    constexpr float kLargest = 65504;
    return floatFromF16(f16FromFloat(std::clamp(value, -kLargest, kLargest)));
}

} // namespace ql
