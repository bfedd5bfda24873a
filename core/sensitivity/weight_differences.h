// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/sensitivity/layer_sums.h"

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

/// Compensated sum of what add(first, differences, sum) adds for parts of the rows [firstRow, lastRow), whole rows of
/// about 2^16 elements each; `first` is the part's first element in the layer. Equal bits for any thread count.
template<typename Add>
Result<double> sumOverDifferences(const MetricInput& input, std::int64_t firstRow, std::int64_t lastRow,
                                  const JobContext& context, const Add& add)
{
    constexpr std::int64_t kGrainElements = std::int64_t{1} << 16U;
    const std::int64_t columns = input.quantized.matrix().cols;
    const std::int64_t grain = std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(1, columns));
    QL_TRY(sum, deterministicReduce(
                    context, lastRow - firstRow, grain, CompensatedSum(),
                    [&](std::int64_t begin, std::int64_t end) {
                        std::vector<double> differences(static_cast<std::size_t>((end - begin) * columns));
                        weightDifferences(input, firstRow + begin, firstRow + end, differences.data());
                        CompensatedSum part;
                        add((firstRow + begin) * columns, std::span<const double>(differences), part);
                        return part;
                    },
                    [](CompensatedSum& into, const CompensatedSum& next) { into.merge(next); }));
    return sum.value();
}
/// Over all rows.
template<typename Add>
Result<double> sumOverDifferences(const MetricInput& input, const JobContext& context, const Add& add)
{
    return sumOverDifferences(input, 0, input.quantized.matrix().rows, context, add);
}

/// The layer's own ranges of rows.
template<typename Measure>
Result<double> sumOverParts(const MetricInput& input, const Measure& measure)
{
    return sumOverParts(input.activations, input.quantized.matrix().rows, measure);
}

} // namespace ql::metrics
