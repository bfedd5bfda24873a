// SPDX-License-Identifier: GPL-3.0-or-later
// What the fills of matrix formats share: W as finite floats, and loops over its rows.
#pragma once

#include "core/formats/matrix_format.h"
#include "core/jobs/parallel.h"

namespace ql {

/// W in float (4 bytes a weight): NaN became 0, infinities the largest finite magnitude of W (1 if there is none).
struct FiniteWeights {
    Buffer values;
    float largest = 0; // magnitude
    float* row(std::int64_t index, std::int64_t cols) { return values.as<float>() + index * cols; }
    const float* row(std::int64_t index, std::int64_t cols) const { return values.as<float>() + index * cols; }
};
Result<FiniteWeights> finiteWeights(const TensorView& weights, const JobContext& context);

/// The mean over all ranges of a column's importance, or nothing where none is known.
std::vector<double> meanImportance(const MatrixFill& from);

/// Calls body(row) for all rows in parallel, a few at a time so that a chunk has about `weightsInChunk` weights.
template<typename Body>
Result<void> forRows(const JobContext& context, MatrixShape shape, const Body& body,
                     std::int64_t weightsInChunk = std::int64_t{1} << 16U)
{
    const std::int64_t grain = std::max<std::int64_t>(1, weightsInChunk / std::max<std::int64_t>(1, shape.cols));
    return parallelFor(context, shape.rows, grain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end && !context.stopRequested(); ++row)
            body(row);
    });
}

} // namespace ql
