// SPDX-License-Identifier: GPL-3.0-or-later
// A ≈ U·V of rank k by block power iteration: products of A[rows, cols] (float) with a few columns more than k, made
// orthonormal in double, until another round adds less than 10⁻⁵ of what is captured, or 24 rounds; then the k largest
// directions of what was found (Halko, Martinsson and Tropp 2011, section 5.4). Where k and the columns more reach the
// smaller side of A it is the singular value decomposition. Work 4·rows·cols·(k + 8) a round. Equal bits for any thread
// count on one CPU.
#pragma once

#include "core/jobs/job_context.h"

#include <vector>

namespace ql {

struct LeadingFactors {
    std::vector<double> left;  // [rows, k], U·√Σ
    std::vector<double> right; // [k, cols], √Σ·Vᵀ
};
/// Columns and rows beyond the rank of A are zeros.
Result<LeadingFactors> leadingFactors(const float* a, std::int64_t rows, std::int64_t cols, std::int64_t k,
                                      const JobContext& context);

} // namespace ql
