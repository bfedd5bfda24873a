// SPDX-License-Identifier: GPL-3.0-or-later
// Codes of 1…8 bits that run on from byte to byte, the first in the lowest bits.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ql {

inline unsigned getBits(const std::byte* from, std::int64_t at, int width)
{
    const std::byte* byte = from + at / 8;
    const auto shift = static_cast<unsigned>(at % 8);
    unsigned two = static_cast<unsigned>(byte[0]) >> shift;
    if (shift + static_cast<unsigned>(width) > 8)
        two |= static_cast<unsigned>(byte[1]) << (8 - shift);
    return two & ((1U << width) - 1);
}

/// Into bits that are 0.
inline void orBits(std::byte* to, std::int64_t at, int width, unsigned value)
{
    std::byte* byte = to + at / 8;
    const auto shift = static_cast<unsigned>(at % 8);
    byte[0] |= static_cast<std::byte>(value << shift & 0xffU);
    if (shift + static_cast<unsigned>(width) > 8)
        byte[1] |= static_cast<std::byte>(value >> (8 - shift));
}

} // namespace ql
