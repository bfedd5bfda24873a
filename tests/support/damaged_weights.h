// SPDX-License-Identifier: GPL-3.0-or-later
// A model's weights with a NaN in one of its layers.
#pragma once

#include "core/model/graph/run.h"

#include <limits>
#include <vector>

namespace ql::test {

class DamagedWeights final : public graph::WeightSource {
public:
    DamagedWeights(const Model& model, std::int64_t layer) : m_model(model), m_layer(layer) {}
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
    {
        QL_TRY(data, m_model.loadWeights(layer, context));
        if (layer != m_layer)
            return data;
        const auto values = std::make_shared<std::vector<double>>(static_cast<std::size_t>(data.view.numel()));
        decode(data.view.dtype, data.view.data, 0, data.view.numel(), values->data());
        values->front() = std::numeric_limits<double>::quiet_NaN();
        return TensorData{.view = {.dtype = Dtype::f64,
                                   .shape = data.view.shape,
                                   .data = reinterpret_cast<const std::byte*>(values->data())},
                          .owner = values};
    }

private:
    const Model& m_model;
    std::int64_t m_layer;
};

} // namespace ql::test
