// SPDX-License-Identifier: GPL-3.0-or-later
// SNIP's score Σ |w·g| with the root mean square over tokens in the place of |g|, which is what a Fisher diagonal keeps
// of the gradients: F = E[g²].
#include "core/sensitivity/layer_sums.h"

#include <cmath>

namespace ql::metrics {

namespace {
Result<double> connectionSensitivity(const LayerInput& input, const JobContext& context)
{
    const auto [rows, cols] = matrixShape(input.weights.shape);
    if (!input.fisher || std::ssize(input.fisher->uses.front().sums) != rows * cols)
        return std::numeric_limits<double>::quiet_NaN();
    return sumOverWeights(input.weights, context,
                          [&](std::int64_t first, std::span<const double> part, CompensatedSum& sum) {
                              std::vector<double> information(part.size());
                              input.fisher->read(first, std::ssize(part), information.data());
                              for (std::size_t i = 0; i < part.size(); ++i)
                                  if (std::isfinite(part[i]))
                                      sum.add(std::fabs(part[i]) * std::sqrt(information[i]));
                          });
}
} // namespace

extern const Metric snip;
const Metric snip{
    .id = "snip",
    .title = "Connection sensitivity",
    .unit = "nats · NMSE",
    .formula = "Σ |w|·√F · NMSE, F = E[g²], g = ∂ ln p/∂w",
    .source = "Lee et al., SNIP, ICLR 2019, with root mean squares of gradients",
    .needs = MetricNeeds::fisher,
    .ofLayer = connectionSensitivity,
    .isProxy = true,
};

} // namespace ql::metrics
