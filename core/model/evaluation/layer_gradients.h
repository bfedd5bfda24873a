// SPDX-License-Identifier: GPL-3.0-or-later
// The gradient of a loss with respect to the weights of some layers, as one long vector: layer after layer as asked,
// each row-major [out, in·…]. Summed in double.
#pragma once

#include "core/model/evaluation/loss_gradients.h"

namespace ql {

/// Where a layer stands in the vector.
struct LayerPlace {
    std::int64_t layer = 0;
    std::int64_t offset = 0;
    std::int64_t rows = 0, columns = 0;
};

Result<std::vector<LayerPlace>> layerPlaces(const graph::WeightSource& weights, std::span<const std::int64_t> layers,
                                            const JobContext& context);

template<typename T>
class LayerGradientSum final : public GradientSink<T> {
public:
    /// Refers to both.
    LayerGradientSum(const std::vector<LayerPlace>& places, const JobContext& context);
    bool wants(std::size_t segment, std::int64_t layer) const override;
    Result<void> enter(std::size_t) override { return {}; }
    Result<void> add(std::int64_t layer, std::span<const WeightUse<T>> uses) override;
    Result<void> leave(std::size_t) override { return {}; }
    std::vector<double> take() { return std::move(m_sum); }

private:
    const std::vector<LayerPlace>& m_places;
    const JobContext& m_context;
    std::vector<double> m_sum;
};

} // namespace ql
