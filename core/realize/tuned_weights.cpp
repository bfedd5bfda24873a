// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/tuned_weights.h"

#include "core/jobs/parallel.h"
#include "core/model/graph/row_kernels.h"
#include "core/model/graph/stored_weights.h"

#include <algorithm>

namespace ql {

Result<TensorData> TunedWeights::weights(std::int64_t layer, const JobContext& context) const
{
    if (const auto vector = m_vectors.find(layer); vector != m_vectors.end())
        return vector->second;
    const auto found = m_factors.find(layer);
    if (found == m_factors.end())
        return m_base.weights(layer, context);
    const std::vector<double>& factors = found->second;
    QL_TRY(data, m_base.weights(layer, context));
    QL_TRY(weights, graph::decoded<float>(data, context));
    const std::int64_t rows = std::ssize(factors);
    const std::int64_t cols = rows > 0 ? weights.numel() / rows : 0;
    const auto owner = std::make_shared<Buffer>(4 * weights.numel());
    QL_CHECK(parallelFor(context, rows, graph::rowGrain(cols), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r)
            graph::scaleRow(weights.data() + r * cols, cols, static_cast<float>(factors[static_cast<std::size_t>(r)]),
                            0.0F, owner->as<float>() + r * cols);
    }));
    return TensorData{{Dtype::f32, weights.shape(), owner->data()}, owner};
}

void TunedWeights::setVector(std::int64_t layer, const Shape& shape, std::span<const double> values)
{
    const auto owner = std::make_shared<Buffer>(4 * std::ssize(values));
    std::ranges::transform(values, owner->as<float>(), [](double value) { return static_cast<float>(value); });
    m_vectors[layer] = {{Dtype::f32, shape, owner->data()}, owner};
}

} // namespace ql
