// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/sum.h"
#include "core/formats/quantized_tensor.h"
#include "core/jobs/parallel.h"
#include "core/sensitivity/metric.h"

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

namespace ql::metrics {

/// Compensated sum of what add(first, weights, sum) adds for parts of the rows [firstRow, lastRow), whole rows of about
/// 2^16 elements each; `first` is the part's first element in the layer. Equal bits for any thread count.
template<typename Add>
Result<double> sumOverWeights(const TensorView& weights, std::int64_t firstRow, std::int64_t lastRow,
                              const JobContext& context, const Add& add)
{
    constexpr std::int64_t kGrainElements = std::int64_t{1} << 16U;
    const std::int64_t columns = matrixShape(weights.shape).cols;
    const std::int64_t grain = std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(1, columns));
    QL_TRY(sum, deterministicReduce(
                    context, lastRow - firstRow, grain, CompensatedSum(),
                    [&](std::int64_t begin, std::int64_t end) {
                        const std::int64_t first = (firstRow + begin) * columns;
                        std::vector<double> part(static_cast<std::size_t>((end - begin) * columns));
                        decode(weights.dtype, weights.data, first, std::ssize(part), part.data());
                        CompensatedSum its;
                        add(first, std::span<const double>(part), its);
                        return its;
                    },
                    [](CompensatedSum& into, const CompensatedSum& next) { into.merge(next); }));
    return sum.value();
}
/// Over all rows.
template<typename Add>
Result<double> sumOverWeights(const TensorView& weights, const JobContext& context, const Add& add)
{
    return sumOverWeights(weights, 0, matrixShape(weights.shape).rows, context, add);
}

/// Sum of measure(statistics, firstRow, lastRow) over the ranges of a layer's rows that see inputs of their own: all
/// rows, or the experts of a stack. Of an expert that no token went to nothing is known, and nothing is added. NaN
/// where nothing is known of the whole layer, or measure says so.
template<typename Measure>
Result<double> sumOverParts(const ActivationStatistics* all, std::int64_t rows, const Measure& measure)
{
    if (!all || all->isEmpty())
        return std::numeric_limits<double>::quiet_NaN();
    if (all->parts.empty())
        return measure(*all, std::int64_t{0}, rows);
    CompensatedSum sum;
    const std::int64_t range = rows / std::ssize(all->parts);
    for (std::int64_t part = 0; part < std::ssize(all->parts); ++part) {
        const ActivationStatistics& its = all->parts[static_cast<std::size_t>(part)];
        if (its.isEmpty())
            continue;
        QL_TRY(measured, measure(its, part * range, (part + 1) * range));
        sum.add(measured);
    }
    return sum.value();
}

} // namespace ql::metrics
