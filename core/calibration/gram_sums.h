// SPDX-License-Identifier: GPL-3.0-or-later
// Sums of products of columns, the rows of Gram matrices: products of at most 1024 tokens in float, their sums in
// double. Strips of columns are independent, tokens go in order: equal bits for any thread count on one CPU.
#pragma once

#include "core/jobs/job_context.h"

#include <functional>

namespace ql {

inline constexpr std::int64_t kGramStrip = 256; // columns that one task sums

/// Columns [begin, end) of X times columns [first, end).
struct GramStrip {
    std::int64_t first, begin, end;
};

/// For X[tokens, in], at most 1024 tokens at a time: take(products) with the sums over these,
/// products[(i − begin)·(end − first) + j − first] = Σ x_i·x_j for j ≤ i. Stops early when asked to.
void forGramProducts(const float* x, std::int64_t tokens, std::int64_t in, const GramStrip& strip,
                     const std::function<void(const float* products)>& take, const JobContext& context);

/// Adds the products to half[i·(i + 1)/2 + j], first = 0.
void addToHalf(const float* x, std::int64_t tokens, std::int64_t in, std::int64_t begin, std::int64_t end, double* half,
               const JobContext& context);

} // namespace ql
