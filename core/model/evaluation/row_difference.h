// SPDX-License-Identifier: GPL-3.0-or-later
// How far the rows x of what a model computes are from the rows y of another version of it: sums that measures are made
// of. In double; equal bits for any thread count.
#pragma once

#include "core/jobs/job_context.h"
#include "core/model/graph/array.h"

namespace ql {

struct RowDifference {
    double squares = 0;         // Σ x²
    double errors = 0;          // Σ (y − x)²
    double cosines = 0;         // Σ over rows of x·y / (|x|·|y|); a row that is zero in both counts 1, in one 0
    double distanceSquares = 0; // Σ (1 − that cosine)²
    double leastCosine = 1;
    std::int64_t rows = 0;

    void add(const RowDifference& next);
};

/// Both have one shape.
Result<RowDifference> rowDifference(const graph::Array<float>& x, const graph::Array<float>& y,
                                    const JobContext& context);

} // namespace ql
