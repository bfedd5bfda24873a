// SPDX-License-Identifier: GPL-3.0-or-later
// The codebook grids of GGUF's IQ1, IQ2 and IQ3 types: points of 8 (IQ1, IQ2) or 4 (IQ3) levels. A point is a word of
// 16 bits with the number of each level, 2 or 4 bits an element, the first element lowest; the levels of a grid stand
// beside it. Made by make_ggml_grids.py.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace ql {

extern const std::array<std::uint16_t, 2048> kIq1Grid;
extern const std::array<std::uint16_t, 256> kIq2XxsGrid;
extern const std::array<std::uint16_t, 512> kIq2XsGrid;
extern const std::array<std::uint16_t, 1024> kIq2SGrid;
extern const std::array<std::uint16_t, 256> kIq3XxsGrid;
extern const std::array<std::uint16_t, 512> kIq3SGrid;

constexpr std::array<float, 4> kIq1Levels{-1, 0, 1, 0};
constexpr std::array<float, 4> kIq2Levels{8, 25, 43, 0}; // three occur
constexpr std::array<float, 8> kIq3XxsLevels{4, 12, 20, 28, 36, 44, 52, 62};
constexpr std::array<float, 8> kIq3SLevels{1, 3, 5, 7, 9, 11, 13, 15};

/// Eight signs from seven stored bits (a set bit is a minus): the number of minuses is even.
constexpr unsigned evenSigns(unsigned stored)
{
    return stored | (static_cast<unsigned>(std::popcount(stored)) & 1U) << 7U;
}

} // namespace ql
