// SPDX-License-Identifier: GPL-3.0-or-later
// Vector kernels of computeStatistics: power sums of one chunk around a shift.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ql {

/// Elements in a chunk; part of the documented result, because it fixes the order of sums.
constexpr std::int64_t kStatisticsChunk = 16384;

/// Sums over d = x − shift of one chunk. Meaningful only if sum4 is finite: then all elements are.
struct PowerSums {
    double shift = 0;
    double sum1 = 0, sum2 = 0, sum3 = 0, sum4 = 0; // Σd, Σd², Σd³, Σd⁴
    double min = 0, max = 0;                       // zeros are +0
    std::int64_t zeros = 0;
};

/// n ≥ 1 elements of that type at a possibly unaligned address. Element i goes to lane i mod 8 (bf16: ⌊i/2⌋ mod 8) and
/// lanes are added in one fixed tree, so every compiled target gives equal bits.
PowerSums powerSumsF64(const std::byte* data, std::int64_t n);
PowerSums powerSumsF32(const std::byte* data, std::int64_t n);
PowerSums powerSumsF16(const std::byte* data, std::int64_t n);
PowerSums powerSumsBf16(const std::byte* data, std::int64_t n);

} // namespace ql
