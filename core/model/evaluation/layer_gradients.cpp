// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/layer_gradients.h"

#include "core/jobs/parallel.h"

namespace ql {

Result<std::vector<GradientPlace>> gradientPlaces(const graph::WeightSource& weights,
                                                  std::span<const std::int64_t> layers, const JobContext& context,
                                                  std::span<const LayerRows> rowFactors)
{
    std::vector<GradientPlace> places;
    std::int64_t offset = 0;
    for (const std::int64_t layer : layers) {
        QL_TRY(data, weights.weights(layer, context));
        const std::int64_t n = data.view.numel();
        const std::int64_t rows = data.view.shape.empty() ? 1 : data.view.shape.front();
        places.push_back({layer, offset, rows, rows > 0 ? n / rows : 0});
        offset += n;
    }
    for (const LayerRows& its : rowFactors) {
        places.push_back({its.layer, offset, its.rows, 1, true});
        offset += its.rows;
    }
    return places;
}

const GradientPlace* placeOf(std::span<const GradientPlace> places, std::int64_t layer)
{
    const auto found = std::ranges::find(places, layer, &GradientPlace::layer);
    return found == places.end() ? nullptr : &*found;
}

std::int64_t lengthOf(std::span<const GradientPlace> places)
{
    return places.empty() ? 0 : places.back().offset + places.back().rows * places.back().columns;
}

template<typename T>
LayerGradientSum<T>::LayerGradientSum(const std::vector<GradientPlace>& places, const JobContext& context)
    : m_places(places), m_context(context), m_sum(static_cast<std::size_t>(lengthOf(places)))
{}

template<typename T>
bool LayerGradientSum<T>::wants(std::size_t, std::int64_t layer) const
{
    return placeOf(m_places, layer) != nullptr;
}

template<typename T>
bool LayerGradientSum<T>::wantsOutput(std::int64_t layer) const
{
    const GradientPlace* place = placeOf(m_places, layer);
    return place && place->isRowFactors;
}

template<typename T>
Result<void> LayerGradientSum<T>::addRowFactors(const GradientPlace& place, std::span<const WeightUse<T>> uses)
{
    constexpr std::int64_t kGrain = 64; // rows of W, 256 bytes of each token
    for (const WeightUse<T>& use : uses) {
        if (use.outputGradient.shape().empty())
            return refused("rows of weights that other than linear nodes use have no factors");
        if (!use.output)
            continue; // an expert without tokens
        const std::int64_t out = use.output.width();
        const T* const y = use.output.data();
        const T* const gradient = use.outputGradient.data();
        const T* const bias = use.bias ? use.bias.data() + use.firstRow : nullptr;
        double* const sum = m_sum.data() + place.offset + use.firstRow;
        QL_CHECK(parallelFor(m_context, out, kGrain, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t t = 0; t < use.output.rows(); ++t)
                for (std::int64_t r = begin; r < end; ++r)
                    sum[r] += static_cast<double>(gradient[t * out + r]) *
                              (static_cast<double>(y[t * out + r]) - (bias ? static_cast<double>(bias[r]) : 0));
        }));
    }
    return {};
}

template<typename T>
Result<void> LayerGradientSum<T>::add(std::int64_t layer, std::span<const WeightUse<T>> uses)
{
    const GradientPlace& place = *placeOf(m_places, layer);
    if (place.isRowFactors)
        return addRowFactors(place, uses);
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
