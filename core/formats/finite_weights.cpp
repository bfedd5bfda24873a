// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/finite_weights.h"

#include "core/formats/weight_tile.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {
constexpr std::int64_t kChunk = 65536;
}

Result<FiniteWeights> finiteWeights(const TensorView& weights, const JobContext& context)
{
    const std::int64_t n = weights.numel();
    QL_CHECK(context.checkMemory(4 * n, "the weights as float32"));
    FiniteWeights made;
    made.values = Buffer(4 * n);
    auto* values = made.values.as<float>();
    QL_TRY(largest, deterministicReduce(
                        context, n, kChunk, 0.0F,
                        [&](std::int64_t begin, std::int64_t end) {
                            WeightTile tile(weights);
                            const float* from = tile.read(begin, end - begin);
                            float most = 0;
                            for (std::int64_t i = 0; i < end - begin; ++i) {
                                values[begin + i] = from[i];
                                if (std::isfinite(from[i]))
                                    most = std::max(most, std::fabs(from[i]));
                            }
                            return most;
                        },
                        [](float& into, float next) { into = std::max(into, next); }));
    made.largest = largest;
    const float instead = largest > 0 ? largest : 1.0F;
    QL_CHECK(parallelFor(context, n, kChunk, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            if (std::isnan(values[i]) || values[i] == 0)
                values[i] = 0; // and −0
            else if (std::isinf(values[i]))
                values[i] = std::copysign(instead, values[i]);
        }
    }));
    if (largest == 0) // infinities may be all there is
        for (std::int64_t i = 0; i < n && made.largest == 0; ++i)
            made.largest = std::fabs(values[i]);
    return made;
}

std::vector<double> meanImportance(const MatrixFill& from)
{
    if (from.importance.empty())
        return {};
    std::vector<double> mean(from.importance.front().size(), 0.0);
    for (const std::vector<float>& range : from.importance)
        for (std::size_t j = 0; j < mean.size(); ++j)
            mean[j] += static_cast<double>(range[j]);
    for (double& value : mean)
        value /= static_cast<double>(from.importance.size());
    return mean;
}

} // namespace ql
