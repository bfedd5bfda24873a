// SPDX-License-Identifier: GPL-3.0-or-later
// The share of the layer's output that is lost, so that layers of unlike size compare.
#include "core/sensitivity/quadratic_error.h"

namespace ql::metrics {

extern const Metric output_error;

namespace {
Result<double> energyOf(const LayerInput& input, const JobContext& context)
{
    return outputEnergy(input.weights, input.activations, context);
}
Result<double> measureRelativeOutputError(const MetricInput& input, const JobContext& context)
{
    QL_TRY(error, output_error.measure(input, context));
    return input.ofLayer == 0 ? 0 : error / input.ofLayer;
}
} // namespace

extern const Metric relative_output_error;
const Metric relative_output_error{
    .id = "relative_output_error",
    .title = "Relative output error",
    .unit = "of the output's energy",
    .formula = "tr(ΔW·H·ΔWᵀ) / tr(W·H·Wᵀ), H = XᵀX",
    .source = "Frantar et al., GPTQ, ICLR 2023, eq. 1, over the energy of the output",
    .needs = MetricNeeds::gram,
    .measure = measureRelativeOutputError,
    .ofLayer = energyOf,
    .isProxy = true,
};

} // namespace ql::metrics
