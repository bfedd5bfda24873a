// SPDX-License-Identifier: GPL-3.0-or-later
// What a scheme stores, part by part: payloadBits() is the sum of them.
#pragma once

#include "core/formats/scheme.h"

#include <array>

namespace ql {

struct PayloadPart {
    std::string_view what; // "codes", "scales"; empty: the scheme has no such part
    std::int64_t count = 0;
    std::int64_t bitsEach = 0;
    std::int64_t bits() const { return count * bitsEach; }
};

constexpr std::size_t kCodeParts = 5; // what is stored for the codes; additions follow
/// Of W[rows, cols]. Packed schemes: their blocks. Not for keep.
std::array<PayloadPart, kCodeParts + 6> payloadParts(const Scheme& scheme, std::int64_t rows, std::int64_t cols);

} // namespace ql
