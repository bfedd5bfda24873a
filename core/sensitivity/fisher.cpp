// SPDX-License-Identifier: GPL-3.0-or-later
// ½·Σ F·ΔW²: what the change of a layer adds to the divergence of the model's predictions, to second order and as if
// weights acted independently. In absolute units, so layers compare with each other and sums with measured KLD.
#include "core/sensitivity/weight_differences.h"

#include <limits>

namespace ql::metrics {

namespace {

Result<double> measureFisher(const MetricInput& input, const JobContext& context)
{
    const auto [rows, cols] = input.quantized.matrix();
    const FisherDiagonal* fisher = input.fisher;
    if (!fisher || std::ssize(fisher->uses.front().sums) != rows * cols)
        return std::numeric_limits<double>::quiet_NaN();
    QL_TRY(sum, sumOverDifferences(input, context,
                                   [&](std::int64_t first, std::span<const double> differences, CompensatedSum& part) {
                                       std::vector<double> information(differences.size());
                                       fisher->read(first, std::ssize(differences), information.data());
                                       for (std::size_t i = 0; i < differences.size(); ++i)
                                           part.add(information[i] * differences[i] * differences[i]);
                                   }));
    return 0.5 * sum;
}

} // namespace

extern const Metric fisher;
const Metric fisher{
    .id = "fisher",
    .title = "Predicted KLD",
    .unit = "nats per token",
    .formula = "½·Σ F·ΔW², F = E[(∂ ln p/∂w)²]",
    .source = "Theis et al., Faster gaze prediction with dense networks and Fisher pruning, 2018, eq. 6",
    .needs = MetricNeeds::fisher,
    .measure = measureFisher,
};

} // namespace ql::metrics
