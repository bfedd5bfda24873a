// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/sensitivity/metric.h"

namespace ql::metrics {

/// W − Ŵ of rows [first, last), exact but for one rounding to double.
inline void weightDifferences(const MetricInput& input, std::int64_t first, std::int64_t last, double* out)
{
    const std::int64_t cols = input.quantized.matrix().cols;
    const std::int64_t count = (last - first) * cols;
    std::vector<float> restored(static_cast<std::size_t>(count));
    input.quantized.restoreRows(first, last, restored.data());
    decode(input.weights.dtype, input.weights.data, first * cols, count, out);
    for (std::int64_t i = 0; i < count; ++i)
        out[i] -= static_cast<double>(restored[static_cast<std::size_t>(i)]);
}

} // namespace ql::metrics
