// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/layer_gradients.h"

namespace ql {

Result<std::vector<LayerPlace>> layerPlaces(const graph::WeightSource& weights, std::span<const std::int64_t> layers,
                                            const JobContext& context)
{
    std::vector<LayerPlace> places;
    std::int64_t offset = 0;
    for (const std::int64_t layer : layers) {
        QL_TRY(data, weights.weights(layer, context));
        const std::int64_t n = data.view.numel();
        const std::int64_t rows = data.view.shape.empty() ? 1 : data.view.shape.front();
        places.push_back({layer, offset, rows, rows > 0 ? n / rows : 0});
        offset += n;
    }
    return places;
}

template<typename T>
LayerGradientSum<T>::LayerGradientSum(const std::vector<LayerPlace>& places, const JobContext& context)
    : m_places(places),
      m_context(context),
      m_sum(places.empty()
                ? 0
                : static_cast<std::size_t>(places.back().offset + places.back().rows * places.back().columns))
{}

template<typename T>
bool LayerGradientSum<T>::wants(std::size_t, std::int64_t layer) const
{
    return std::ranges::find(m_places, layer, &LayerPlace::layer) != m_places.end();
}

template<typename T>
Result<void> LayerGradientSum<T>::add(std::int64_t layer, std::span<const WeightUse<T>> uses)
{
    const LayerPlace& place = *std::ranges::find(m_places, layer, &LayerPlace::layer);
    double* const sum = m_sum.data() + place.offset;
    return forEachTile<T>(
        uses,
        [&](const GradientTile<T>& tile) {
            for (std::int64_t r = 0; r < tile.rows; ++r)
                for (std::int64_t c = 0; c < tile.columns; ++c)
                    sum[(tile.row + r) * place.columns + tile.column + c] +=
                        static_cast<double>(tile.data[r * tile.columns + c]);
        },
        m_context);
}

template class LayerGradientSum<float>;
template class LayerGradientSum<double>;

} // namespace ql
