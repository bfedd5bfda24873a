// SPDX-License-Identifier: GPL-3.0-or-later
// Statistics of one tensor in one pass, over finite values, in double. Moments by merged shifted sums (Pébay 2008), so
// kurtosis is right to 1e-9 even at mean/std = 1e4 and for |x| up to 1e150. Equal bits for any thread count and CPU:
// fixed chunks, fixed lanes.
#pragma once

#include "core/base/result.h"
#include "core/jobs/job_context.h"
#include "core/tensor/tensor_view.h"

#include <limits>
#include <span>
#include <vector>

namespace ql {

struct TensorStatistics {
    std::int64_t count = 0; // elements
    std::int64_t nan = 0, inf = 0, zeros = 0;
    std::int64_t finite() const { return count - nan - inf; }
    // Undefined values (no finite element; kurtosis of a constant) are NaN.
    double min = std::numeric_limits<double>::quiet_NaN();
    double max = std::numeric_limits<double>::quiet_NaN();
    double mean = std::numeric_limits<double>::quiet_NaN();
    double std = std::numeric_limits<double>::quiet_NaN(); // population: √(Σ(x−mean)²/n)
    double absmax = std::numeric_limits<double>::quiet_NaN();
    double kurtosis = std::numeric_limits<double>::quiet_NaN(); // Pearson: n·Σ(x−mean)⁴/(Σ(x−mean)²)²; normal = 3
    double l2 = std::numeric_limits<double>::quiet_NaN();       // √Σx²
    /// absmax / √(mean of squares): crest factor of the whole tensor.
    double crestFactor() const;
};

Result<TensorStatistics> computeStatistics(const TensorView& tensor, const JobContext& context);
/// Of several tensors, in their order, with the same bits: one loop over all, so that small ones keep all threads busy.
Result<std::vector<TensorStatistics>> computeStatistics(std::span<const TensorView> tensors, const JobContext& context);

} // namespace ql
