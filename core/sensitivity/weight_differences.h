// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/sum.h"
#include "core/jobs/parallel.h"
#include "core/sensitivity/metric.h"

#include <span>
#include <vector>

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

/// Compensated sum of what add(first, differences, sum) adds for parts of whole rows, about 2^16 elements each; `first`
/// is the part's first element. Equal bits for any thread count.
template<typename Add>
Result<double> sumOverDifferences(const MetricInput& input, const JobContext& context, const Add& add)
{
    constexpr std::int64_t kGrainElements = std::int64_t{1} << 16U;
    const auto [rows, cols] = input.quantized.matrix();
    const std::int64_t columns = cols;
    const std::int64_t grain = std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(1, columns));
    QL_TRY(sum, deterministicReduce(
                    context, rows, grain, CompensatedSum(),
                    [&](std::int64_t begin, std::int64_t end) {
                        std::vector<double> differences(static_cast<std::size_t>((end - begin) * columns));
                        weightDifferences(input, begin, end, differences.data());
                        CompensatedSum part;
                        add(begin * columns, std::span<const double>(differences), part);
                        return part;
                    },
                    [](CompensatedSum& into, const CompensatedSum& next) { into.merge(next); }));
    return sum.value();
}

} // namespace ql::metrics
