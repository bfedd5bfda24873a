// SPDX-License-Identifier: GPL-3.0-or-later
// How scales are stored: f32, f16, bf16, e8m0 = 2^(c−127) for c = 0…254 (OCP MX), ue4m3 = fp8_e4m3 without sign.
#pragma once

#include "core/formats/scheme.h"

#include <optional>

namespace ql {

std::optional<ScaleCoding> scaleCodingFromWord(std::string_view word);

/// The smallest positive and the largest finite value of a coding, and the distance from 1 to the next value.
float smallestScale(ScaleCoding coding);
float largestScale(ScaleCoding coding);
float scaleEpsilon(ScaleCoding coding);

/// roundScale, but never 0: what would round to 0 becomes the smallest positive value.
float storableScale(ScaleCoding coding, float scale);

/// The value `steps` codes above (or below) a positive value of the coding, within its positive finite range.
float neighbourScale(ScaleCoding coding, float scale, int steps);

} // namespace ql
