// SPDX-License-Identifier: GPL-3.0-or-later
// ½·Σ F·ΔW²: what the change of a layer adds to the divergence of the model's predictions, to second order and as if
// weights acted independently. In absolute units, so layers compare with each other and sums with measured KLD.
#include "core/base/sum.h"
#include "core/jobs/parallel.h"
#include "core/sensitivity/weight_differences.h"

#include <limits>

namespace ql::metrics {

namespace {

constexpr std::int64_t kGrainElements = std::int64_t{1} << 16U;

Result<double> measureFisher(const MetricInput& input, const JobContext& context)
{
    const auto [rows, cols] = input.quantized.matrix();
    const FisherDiagonal* fisher = input.fisher;
    if (!fisher || std::ssize(fisher->uses.front().sums) != rows * cols)
        return std::numeric_limits<double>::quiet_NaN();
    const std::int64_t grain = std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(1, cols));
    QL_TRY(sum, deterministicReduce(
                    context, rows, grain, CompensatedSum(),
                    [&](std::int64_t begin, std::int64_t end) {
                        const auto count = static_cast<std::size_t>((end - begin) * cols);
                        std::vector<double> difference(count);
                        std::vector<double> information(count);
                        weightDifferences(input, begin, end, difference.data());
                        fisher->read(begin * cols, (end - begin) * cols, information.data());
                        CompensatedSum part;
                        for (std::size_t i = 0; i < count; ++i)
                            part.add(information[i] * difference[i] * difference[i]);
                        return part;
                    },
                    [](CompensatedSum& into, const CompensatedSum& next) { into.merge(next); }));
    return 0.5 * sum.value();
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
