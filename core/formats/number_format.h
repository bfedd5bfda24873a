// SPDX-License-Identifier: GPL-3.0-or-later
// A number format: how one element is coded, without scales. The level of a code is its value before scaling.
//   int<b>              b = 2…8, two's complement codes, levels −2^(b−1)…2^(b−1)−1
//   e<x>m<y>            minifloat of 3…8 bits, x ≥ 1, bias 2^(x−1)−1 (0 for x = 1), sign-magnitude codes, subnormals,
//   all
//                       codes finite
//   fp8_e4m3, fp8_e5m2  OCP: S.1111.111 is NaN (max 448); IEEE-like inf/NaN (max 57344)
//   mxint8              int8 with levels scaled by 2⁻⁶ (OCP MX INT8)
//   nf4                 NormalFloat codebook (QLoRA, Dettmers et al. 2023)
//   ternary, binary, balanced<b>, pot<b>, ds<b>, flint4, khot<b>_<k>, pow<b>_<a>, levels(a,b,…)
//                       further codebooks (few_levels.cpp, powers_of_two.cpp, power_exponent.cpp, user_levels.cpp)
//   f32, f16, bf16      casts: codes are the bit patterns
//   keep                the tensor stays as the checkpoint stores it
//   gguf:q4_k, …        packed: blocks of a file format (block_format.h), known by the name of their scheme
// One line in formats.def and one file add a family. Immutable, thread-safe.
#pragma once

#include "core/base/result.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ql {

enum class FormatKind { integer, minifloat, codebook, cast, keep, packed };

struct NumberFormat {
    std::string id;     // as in scheme text
    std::string title;  // for people
    std::string source; // paper or specification, section
    FormatKind kind = FormatKind::integer;
    int bits = 0;                           // per code; 0 for keep; packed: whole bits a weight
    int exponentBits = 0, mantissaBits = 0; // minifloats
    /// Stored once for a tensor, beside codes and scales: a codebook of one's own, an exponent.
    int sharedBits = 0;
    /// Level of every code, indexed by the code's bit pattern (0…2^bits−1, codebooks: as many as there are levels); NaN
    /// where a code means NaN, ±inf likewise.
    /// Empty for casts, keep and packed. Integer codes are two's complement: levels[255] of int8 is −1.
    std::vector<float> levels;
    float maxLevel = 0;              // largest finite level
    bool hasNegativeExtreme = false; // a most negative level without a positive twin (integers); dropped by :restricted

    /// The sorted distinct finite levels with the code of each (+0 for the two zeros of sign-magnitude codes).
    struct Grid {
        std::vector<float> levels;
        std::vector<std::uint8_t> codes;
    };
    Grid grid;
    /// Without a level 0 nothing restores to 0 but a scale of 0.
    bool hasZero() const { return std::ranges::binary_search(grid.levels, 0.0F); }
};

using NumberFormatPtr = std::shared_ptr<const NumberFormat>;

/// A family of number formats: parses its members' ids and lists a finite set that tests, menus and docs walk.
struct FormatFamily {
    std::string_view id;
    std::string_view title;
    NumberFormatPtr (*parse)(std::string_view text); // null if the text is not of this family
    std::vector<std::string> (*instances)();
    std::string_view ids = {}; // how ids look that are not among the instances, for people
};

std::span<const FormatFamily* const> allFormatFamilies();
/// The format of that id, shared; an error lists what there is.
Result<NumberFormatPtr> findNumberFormat(std::string_view id);

/// Code (bit pattern) of the level nearest to x; ties to the even code; saturates at the largest finite level; NaN
/// gives the code of 0. What is nearest to zero gets +0, never the code of −0, so that e1m<y> equals int<y+2> bit for
/// bit. The obvious search; loops over many elements are in element_coder.h. Not for casts, keep and packed.
std::uint8_t nearestCode(const NumberFormat& format, float x);

} // namespace ql
