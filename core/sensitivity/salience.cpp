// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/salience.h"

#include "core/sensitivity/layer_sums.h"

namespace ql::metrics {

namespace {
Result<double> totalSalience(const LayerInput& input, const JobContext& context)
{
    const auto [rows, cols] = matrixShape(input.weights.shape);
    const std::int64_t width = cols;
    return sumOverParts(
        input.activations, rows,
        [&](const ActivationStatistics& statistics, std::int64_t first, std::int64_t last) -> Result<double> {
            if (statistics.in != width || std::ssize(statistics.gram) != width * width || first == last)
                return std::numeric_limits<double>::quiet_NaN();
            QL_TRY(costs, eliminationCosts(statistics, context));
            return sumOverWeights(input.weights, first, last, context,
                                  [&](std::int64_t, std::span<const double> part, CompensatedSum& sum) {
                                      for (std::size_t i = 0; i < part.size(); ++i) // whole rows
                                          if (std::isfinite(part[i]))
                                              sum.add(part[i] * part[i] * costs[i % costs.size()]);
                                  });
        });
}
} // namespace

extern const Metric salience;
const Metric salience{
    .id = "salience",
    .title = "Salience of the weights",
    .unit = "output² · NMSE",
    .formula = "Σ w²/U_jj² · NMSE, (H + λI)⁻¹ = UᵀU, H = XᵀX",
    .source = "Huang et al., SliM-LLM, 2024, section 3.2; Hassibi and Stork, OBS, 1993",
    .needs = MetricNeeds::gram,
    .ofLayer = totalSalience,
    .isProxy = true,
    .isSlow = true,
};

} // namespace ql::metrics
