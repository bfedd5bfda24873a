// SPDX-License-Identifier: GPL-3.0-or-later
// Synflow's score Σ |w·∂R/∂w| of a layer that is a network of its own: R = 1ᵀ·|W|·1, so ∂R/∂|w| = 1. The published
// score is of all layers in a row, which attention, norms and gates do not let one multiply.
#include "core/sensitivity/layer_sums.h"

#include <cmath>

namespace ql::metrics {

namespace {
Result<double> flowThrough(const LayerInput& input, const JobContext& context)
{
    return sumOverWeights(input.weights, context, [](std::int64_t, std::span<const double> part, CompensatedSum& sum) {
        for (const double w : part)
            if (std::isfinite(w))
                sum.add(std::fabs(w));
    });
}
} // namespace

extern const Metric synflow;
const Metric synflow{
    .id = "synflow",
    .title = "Flow through the layer alone",
    .unit = "weight · NMSE",
    .formula = "Σ|w| · NMSE",
    .source = "Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow, "
              "NeurIPS 2020, of one layer",
    .needs = MetricNeeds::nothing,
    .ofLayer = flowThrough,
    .isProxy = true,
};

} // namespace ql::metrics
