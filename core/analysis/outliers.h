// SPDX-License-Identifier: GPL-3.0-or-later
// Where large values sit. A pyramid of max |x| over 2×2 cells, so that no outlier disappears at any zoom; row and
// column maxima; the largest elements; the share of elements beyond k standard deviations.
#pragma once

#include "core/base/result.h"
#include "core/formats/quantized_tensor.h"
#include "core/jobs/job_context.h"
#include "core/tensor/float_array.h"
#include "core/tensor/tensor_view.h"

namespace ql {

/// One level: cell (r, c) is max |x| over the elements it covers (2^k × 2^k, fewer at the edges). NaN elements count as
/// +inf.
struct PyramidLevel {
    std::int64_t rows = 0, cols = 0;
    FloatArray maxAbs;
    float at(std::int64_t row, std::int64_t col) const { return maxAbs[static_cast<std::size_t>(row * cols + col)]; }
};

/// Level 0 is the tensor itself (signed, decoded to float32) when it fits; the rest halve rows and cols, rounding up,
/// down to ≤ 64 cells a side. Level 0 of tensors of more than 2^28 elements is not kept.
struct OutlierPyramid {
    std::int64_t rows = 0, cols = 0;  // of the matrix
    FloatArray values;                // [rows, cols], empty if not kept
    std::vector<PyramidLevel> levels; // levels[k] covers 2^(k+1) × 2^(k+1) cells
    FloatArray rowMax, colMax;        // max |x|
    float absmax = 0;
};
Result<OutlierPyramid> computePyramid(const TensorView& tensor, const JobContext& context);

struct Outlier {
    std::int64_t row = 0, col = 0;
    double value = 0;
};
struct OutlierSummary {
    double threshold = 0; // |x| > threshold counts, and NaN; sigmas·std of the finite values
    std::int64_t count = 0;
    double share = 0;             // of all elements, 0…1
    std::vector<Outlier> largest; // of all elements, by |x| with NaN as +inf, at most `limit`, ties by position
};
Result<OutlierSummary> findOutliers(const TensorView& tensor, const JobContext& context, double sigmas = 6,
                                    std::size_t limit = 100);

} // namespace ql
