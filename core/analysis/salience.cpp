// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/salience.h"

#include "core/base/sum.h"
#include "core/formats/quantized_tensor.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/error_feedback.h"

#include <cmath>
#include <numeric>

namespace ql {

Result<std::vector<double>> eliminationCosts(const ActivationStatistics& inputs, const JobContext& context)
{
    if (inputs.gram.empty())
        return usageError("salience needs XᵀX of the layer's inputs; calibrate with --gram full");
    std::vector<std::int64_t> order(static_cast<std::size_t>(inputs.in));
    std::iota(order.begin(), order.end(), std::int64_t{0});
    QL_TRY(feedback, makeErrorFeedback(inputs.gram.data(), std::move(order), kSalienceDamping, context));
    return std::move(feedback.cost);
}

Result<Salience> computeSalience(const TensorView& weights, const ActivationStatistics& inputs, std::int64_t groupSize,
                                 const JobContext& context)
{
    const auto [rows, cols] = matrixShape(weights.shape);
    if (cols != inputs.in)
        return badInput("the statistics are of " + std::to_string(inputs.in) + " inputs, but the layer has " +
                        std::to_string(cols));
    if (groupSize < 1)
        return usageError("a group has at least one channel");
    QL_TRY(costs, eliminationCosts(inputs, context));
    Salience result;
    result.rows.resize(static_cast<std::size_t>(rows));
    constexpr std::int64_t kGrain = std::int64_t{1} << 16U;
    const std::int64_t grain = std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, cols));
    const auto n = static_cast<std::size_t>(cols);
    using Sums = std::vector<CompensatedSum>;
    const std::byte* data = weights.data;
    const Dtype dtype = weights.dtype;
    const std::int64_t width = cols;
    QL_TRY(channels, deterministicReduce(
                         context, rows, grain, Sums(n),
                         [&](std::int64_t begin, std::int64_t end) {
                             Sums sums(n);
                             std::vector<double> row(n);
                             for (std::int64_t r = begin; r < end; ++r) {
                                 decode(dtype, data, r * width, width, row.data());
                                 CompensatedSum its;
                                 for (std::size_t j = 0; j < n; ++j) {
                                     const double salience = std::isfinite(row[j]) ? row[j] * row[j] * costs[j] : 0;
                                     sums[j].add(salience);
                                     its.add(salience);
                                 }
                                 result.rows[static_cast<std::size_t>(r)] = its.value();
                             }
                             return sums;
                         },
                         [](Sums& into, const Sums& next) {
                             for (std::size_t j = 0; j < into.size(); ++j)
                                 into[j].merge(next[j]);
                         }));
    CompensatedSum total;
    for (std::size_t j = 0; j < n; ++j) {
        result.channels.push_back(channels[j].value());
        if (static_cast<std::int64_t>(j) % groupSize == 0)
            result.groups.push_back(0);
        result.groups.back() += channels[j].value();
        total.add(channels[j].value());
    }
    result.total = total.value();
    return result;
}

} // namespace ql
