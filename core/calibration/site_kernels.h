// SPDX-License-Identifier: GPL-3.0-or-later
// Vector kernels of calibration, chosen at run time for the CPU; results equal those of plain loops bit for bit.
#pragma once

#include <cstdint>

namespace ql {

/// Adds one token: sum[c] += x[c], min[c] and max[c] take in x[c] unless it is NaN, for channels [0, n).
void addChannels(const float* x, std::int64_t n, double* sum, float* min, float* max);

/// max |x[i]|, 0 of none; NaN if any is.
float largestMagnitude(const float* x, std::int64_t n);

/// ++counts[⌊x[i]·scale⌋ + middle] for finite values; scale is a power of two.
void countBins(const float* x, std::int64_t n, float scale, std::int32_t middle, std::int64_t* counts);

} // namespace ql
