// SPDX-License-Identifier: GPL-3.0-or-later
// What an importance matrix makes of the weights: how much of the output passes through them, inputs taken as
// uncorrelated.
#include "core/sensitivity/layer_sums.h"

#include <cmath>

namespace ql::metrics {

namespace {
Result<double> energyOf(const LayerInput& input, const JobContext& context)
{
    const auto [rows, cols] = matrixShape(input.weights.shape);
    const auto width = static_cast<std::size_t>(cols);
    return sumOverParts(
        input.activations, rows,
        [&](const ActivationStatistics& statistics, std::int64_t first, std::int64_t last) -> Result<double> {
            if (statistics.channelRms.size() != width)
                return std::numeric_limits<double>::quiet_NaN();
            return sumOverWeights(input.weights, first, last, context,
                                  [&](std::int64_t, std::span<const double> part, CompensatedSum& sum) {
                                      for (std::size_t i = 0; i < part.size(); ++i) // whole rows
                                          if (std::isfinite(part[i])) {
                                              const double product = part[i] * statistics.channelRms[i % width];
                                              sum.add(product * product);
                                          }
                                  });
        });
}
} // namespace

extern const Metric energy;
const Metric energy{
    .id = "energy",
    .title = "Energy of the output, inputs taken as uncorrelated",
    .unit = "output² per token · NMSE",
    .formula = "Σ E[x_j²]·w² · NMSE",
    .source = "llama.cpp, tools/imatrix",
    .needs = MetricNeeds::diagonal,
    .ofLayer = energyOf,
    .isProxy = true,
};

} // namespace ql::metrics
