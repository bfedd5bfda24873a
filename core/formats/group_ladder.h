// SPDX-License-Identifier: GPL-3.0-or-later
// slim<N>:g<g>, N = 2 or 3 (SliM-LLM, Huang et al., ICML 2025, sections 3.2 and 3.3): groups of g columns, shared by
// all rows, have codes of N − 1, N or N + 1 bits, as many of the first kind as of the last, so that the mean is N
// exactly. A row of a group is affine, ŵ = s·(q − z) with s in f16 and z of as many bits as q; of one bit it is a·sign
// + μ. Which groups, is a ladder: k, and the groups in the order of their salience; the k least salient get N − 1 bits,
// the k most salient N + 1. A last group that is shorter keeps N. Bytes of W: widths, 2 bits a group from the lowest
// bits on (0: N − 1, 1: N, 2: N + 1); codes, each row from a byte of its own, running on from group to group; f16 s
// [rows, groups]; z like codes, each row from a byte of its own. In groups of one bit the 17 bits of s and z are: a
// without sign and without its four lowest bits of mantissa in the 11 highest bits of s; μ/a·64 in two's complement of
// 6 bits, five of them the lowest of s, the sixth z. N + (16 + N)/g + 2/(g·rows) bits a weight where nothing is padded.
// Thread-safe.
#pragma once

#include "core/formats/matrix_format.h"

namespace ql {

constexpr int kMostLadderBits = 4; // of a code

/// What is stored of a row's group.
struct LadderRange {
    std::uint16_t slot = 0; // s, or a and the low part of μ
    unsigned zero = 0;
    // Restored in float: level q of 2^width.
    float scale = 0;
    float offset = 0; // of one bit: μ − a, so that ŵ = offset + q·2a; else unused
};

/// The range with the ends low ≤ 0 ≤ high, for 2…4 bits.
LadderRange ladderRange(double low, double high, int width);
/// Of one bit: a and μ.
LadderRange ladderSigns(double a, double mean);
/// The nearest code.
unsigned ladderCode(const LadderRange& range, int width, float weight);
float ladderValue(const LadderRange& range, int width, unsigned code);
/// The published range of plain rounding: the least and the largest weight, 0 included; of one bit the mean of the
/// weights and the mean of their magnitudes.
LadderRange plainLadderRange(const float* weights, std::int64_t count, int width, double shrink = 1);

/// Where things lie in the bytes of slim<N>:g<g>.
struct LadderBytes {
    LadderBytes(int bits, std::int64_t group, MatrixShape shape);
    int bits;
    std::int64_t group, groups, whole; // whole: groups that are not shorter
    std::int64_t codeRow, zeroRow;     // bytes of a row
    std::int64_t codes, scales, zeros; // offsets
    std::int64_t size;
    std::int64_t width(std::int64_t index, MatrixShape shape) const;
};
/// Null if the scheme is none of slim<N>:g<g>.
struct LadderScheme {
    int bits = 0;
    std::int64_t group = 0;
};
std::optional<LadderScheme> ladderSchemeOf(const Scheme& scheme);

/// Bits of each group for the k least and most salient ones, by rising salience (the earlier of equals is the less
/// salient).
std::vector<int> ladderWidths(const LadderBytes& layout, const std::vector<double>& salience, std::int64_t k);
void storeLadderWidths(const LadderBytes& layout, const std::vector<int>& widths, std::byte* bytes);
/// A row's ranges, one for each group, and codes, one for each weight.
void storeLadderRow(const LadderBytes& layout, const std::vector<int>& widths, std::int64_t row, MatrixShape shape,
                    const std::vector<LadderRange>& ranges, const std::uint8_t* codes, std::byte* bytes);

} // namespace ql
