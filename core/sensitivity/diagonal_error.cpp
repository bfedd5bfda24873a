// SPDX-License-Identifier: GPL-3.0-or-later
// The output error as if inputs were uncorrelated: all that an importance matrix can tell. Rows in order, sums in
// double.
#include "core/sensitivity/weight_differences.h"

namespace ql::metrics {

namespace {

Result<double> measureDiagonalError(const MetricInput& input, const JobContext& context)
{
    const std::int64_t cols = input.quantized.matrix().cols;
    return sumOverParts(
        input,
        [&](const ActivationStatistics& statistics, std::int64_t firstRow, std::int64_t lastRow) -> Result<double> {
            if (std::ssize(statistics.channelRms) != cols)
                return std::numeric_limits<double>::quiet_NaN();
            const auto tokens = static_cast<double>(std::max<std::int64_t>(1, statistics.tokens));
            QL_TRY(sum,
                   sumOverDifferences(input, firstRow, lastRow, context,
                                      [&](std::int64_t, std::span<const double> differences, CompensatedSum& part) {
                                          for (std::size_t i = 0; i < differences.size(); ++i) { // whole rows
                                              const double rms =
                                                  statistics.channelRms[i % static_cast<std::size_t>(cols)];
                                              const double error = differences[i] * rms;
                                              part.add(error * error);
                                          }
                                      }));
            return tokens * sum;
        });
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
