// SPDX-License-Identifier: GPL-3.0-or-later
// The output error as if inputs were uncorrelated: all that an importance matrix can tell. Rows in order, sums in
// double.
#include "core/base/sum.h"
#include "core/jobs/parallel.h"
#include "core/sensitivity/metric.h"

#include <limits>

namespace ql::metrics {

namespace {

constexpr std::int64_t kGrainElements = std::int64_t{1} << 16;

Result<double> measureDiagonalError(const MetricInput& input, const JobContext& context)
{
    const auto [rows, cols] = input.quantized.matrix();
    const ActivationStatistics* statistics = input.activations;
    if (!statistics || std::ssize(statistics->channelRms) != cols)
        return std::numeric_limits<double>::quiet_NaN();
    const auto tokens = static_cast<double>(std::max<std::int64_t>(1, statistics->tokens));
    const std::int64_t grain = std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(1, cols));
    QL_TRY(sum, deterministicReduce(
                    context, rows, grain, CompensatedSum(),
                    [&](std::int64_t begin, std::int64_t end) {
                        std::vector<float> restored(static_cast<std::size_t>((end - begin) * cols));
                        std::vector<double> weights(restored.size());
                        input.quantized.restoreRows(begin, end, restored.data());
                        decode(input.weights.dtype, input.weights.data, begin * cols, (end - begin) * cols,
                               weights.data());
                        CompensatedSum part;
                        for (std::size_t i = 0; i < weights.size(); ++i) {
                            const double rms = statistics->channelRms[i % static_cast<std::size_t>(cols)];
                            const double error = (weights[i] - static_cast<double>(restored[i])) * rms;
                            part.add(error * error);
                        }
                        return part;
                    },
                    [](CompensatedSum& into, const CompensatedSum& next) { into.merge(next); }));
    return tokens * sum.value();
}

} // namespace

extern const Metric diagonal_error;
const Metric diagonal_error{
    .id = "diagonal_error",
    .title = "Squared output error, inputs taken as uncorrelated",
    .unit = "output²",
    .formula = "Σ (w − ŵ)²·(XᵀX)ⱼⱼ",
    .source = "llama.cpp, tools/imatrix; LeCun, Denker and Solla 1990",
    .needs = MetricNeeds::diagonal,
    .measure = measureDiagonalError,
};

} // namespace ql::metrics
