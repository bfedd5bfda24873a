// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/hessian.h"

#include "core/jobs/parallel_sum.h"
#include "core/model/evaluation/evaluate.h"
#include "core/model/evaluation/layer_gradients.h"

#include <cmath>
#include <limits>

namespace ql {

namespace {

constexpr std::int64_t kPiece = 1 << 18; // a multiple of every block

/// Of a direction that is held.
auto elementsOf(std::span<const double> v)
{
    return [v](std::int64_t i) { return v[static_cast<std::size_t>(i)]; };
}

auto elementsOf(const CounterRng& signs)
{
    return [signs](std::int64_t i) { return signs.bits(static_cast<std::uint64_t>(i)) >> 63U ? 1.0 : -1.0; };
}

/// The weights with step·direction(i) added to the i-th of all places.
template<typename T, typename Direction>
class Shifted final : public graph::WeightSource {
public:
    Shifted(const LossFunction& loss, const std::vector<GradientPlace>& places, Direction direction, double step)
        : m_loss(loss), m_places(places), m_direction(std::move(direction)), m_step(step)
    {}
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
    {
        QL_TRY(data, m_loss.weights.weights(layer, context));
        const GradientPlace* place = placeOf(m_places, layer);
        if (!place)
            return data;
        const std::int64_t n = data.view.numel();
        const auto shifted = std::make_shared<Buffer>(n * static_cast<std::int64_t>(sizeof(T)));
        T* const to = shifted->template as<T>();
        QL_CHECK(parallelFor(context, n, kPiece, [&](std::int64_t begin, std::int64_t end) {
            std::vector<double> w(static_cast<std::size_t>(end - begin));
            decode(data.view.dtype, data.view.data, begin, end - begin, w.data());
            for (std::int64_t i = begin; i < end; ++i)
                to[i] =
                    static_cast<T>(w[static_cast<std::size_t>(i - begin)] + m_step * m_direction(place->offset + i));
        }));
        return TensorData{.view = {.dtype = std::is_same_v<T, float> ? Dtype::f32 : Dtype::f64,
                                   .shape = data.view.shape,
                                   .data = shifted->data()},
                          .owner = shifted};
    }

private:
    const LossFunction& m_loss;
    const std::vector<GradientPlace>& m_places;
    Direction m_direction;
    double m_step;
};

/// Sums the products of gradients and signs, a number for each place.
class SignedGradientSums final : public GradientSink<float> {
public:
    SignedGradientSums(const std::vector<GradientPlace>& places, const CounterRng& signs, const JobContext& context)
        : m_places(places), m_signs(signs), m_context(context), m_sums(places.size())
    {}
    bool wants(std::size_t, std::int64_t layer) const override { return placeOf(m_places, layer) != nullptr; }
    Result<void> enter(std::size_t) override { return {}; }
    Result<void> add(std::int64_t layer, std::span<const WeightUse<float>> uses) override
    {
        const GradientPlace* place = placeOf(m_places, layer);
        const auto sign = elementsOf(m_signs);
        QL_TRY(sums, sumOverTiles<float>(
                         uses, 1,
                         [&](const GradientTile<float>& tile, std::span<double> sum) {
                             for (std::int64_t r = 0; r < tile.rows; ++r) {
                                 const std::int64_t at = place->offset + (tile.row + r) * place->columns + tile.column;
                                 for (std::int64_t c = 0; c < tile.columns; ++c)
                                     sum[0] += sign(at + c) * static_cast<double>(tile.data[r * tile.columns + c]);
                             }
                         },
                         m_context));
        m_sums[static_cast<std::size_t>(place - m_places.data())].add(sums.front());
        return {};
    }
    Result<void> leave(std::size_t) override { return {}; }
    double sum(std::size_t place) const { return m_sums[place].value(); }

private:
    const std::vector<GradientPlace>& m_places;
    const CounterRng& m_signs;
    const JobContext& m_context;
    std::vector<CompensatedSum> m_sums;
};

double scoredTokens(const LossFunction& loss)
{
    return static_cast<double>(loss.windows.count() * (loss.windows.length - 1));
}

/// Of the differences' gradients, for weights and a direction of these norms.
template<typename T>
double stepFor(double weights, double direction)
{
    return std::cbrt(static_cast<double>(std::numeric_limits<T>::epsilon())) * (1 + weights) / direction;
}

template<typename T>
Result<std::vector<double>> gradientAt(const LossFunction& loss, const graph::WeightSource& weights,
                                       const std::vector<GradientPlace>& places, const JobContext& context)
{
    LayerGradientSum<T> sum(places, context);
    QL_CHECK(lossGradients<T>({loss.graph, weights, loss.windows, 0, loss.windows.count(), nextTokens<T>(loss.windows)},
                              sum, context));
    std::vector<double> gradient = sum.take();
    const double perToken = 1 / scoredTokens(loss);
    QL_CHECK(parallelFill(context, gradient, [&](std::size_t i) { return gradient[i] * perToken; }));
    return gradient;
}

} // namespace

Result<double> weightNorm(const LossFunction& loss, const JobContext& context)
{
    CompensatedSum squares;
    for (const std::int64_t layer : loss.layers) {
        QL_TRY(data, loss.weights.weights(layer, context));
        std::vector<double> w(static_cast<std::size_t>(data.view.numel()));
        QL_CHECK(parallelFor(context, std::ssize(w), kPiece, [&](std::int64_t begin, std::int64_t end) {
            decode(data.view.dtype, data.view.data, begin, end - begin, w.data() + begin);
        }));
        QL_TRY(sum, parallelSum(context, std::ssize(w), [&](std::size_t i) { return w[i] * w[i]; }));
        squares.add(sum);
    }
    return std::sqrt(squares.value());
}

Result<double> lossAt(const LossFunction& loss, std::span<const double> shift, const JobContext& context)
{
    QL_TRY(places, gradientPlaces(loss.weights, loss.layers, context));
    const auto direction = elementsOf(shift);
    const ModelVersion shifted{.weights =
                                   std::make_shared<Shifted<float, decltype(direction)>>(loss, places, direction, 1.0)};
    QL_TRY(scores, evaluate({.graph = loss.graph,
                             .windows = loss.windows,
                             .scored = Scored::all,
                             .model = shifted,
                             .onScores = {},
                             .known = {}},
                            context));
    CompensatedSum sum;
    for (const TokenScore& score : scores)
        sum.add(score.nll);
    return sum.value() / static_cast<double>(scores.size());
}

template<typename T>
Result<std::vector<double>> lossGradient(const LossFunction& loss, const JobContext& context)
{
    QL_TRY(places, gradientPlaces(loss.weights, loss.layers, context));
    return gradientAt<T>(loss, loss.weights, places, context);
}

template<typename T>
Result<std::vector<double>> hessianVectorProduct(const LossFunction& loss, std::span<const double> v,
                                                 const JobContext& context)
{
    QL_TRY(places, gradientPlaces(loss.weights, loss.layers, context));
    QL_TRY(square, parallelSum(context, std::ssize(v), [&](std::size_t i) { return v[i] * v[i]; }));
    const double norm = std::sqrt(square);
    if (norm == 0)
        return std::vector<double>(v.size(), 0.0);
    QL_TRY(size, weightNorm(loss, context));
    const double step = stepFor<T>(size, norm);
    const auto direction = elementsOf(v);
    using Version = Shifted<T, decltype(direction)>;
    QL_TRY(product, gradientAt<T>(loss, Version(loss, places, direction, step), places, context));
    QL_TRY(behind, gradientAt<T>(loss, Version(loss, places, direction, -step), places, context));
    QL_CHECK(parallelFill(context, product, [&](std::size_t i) { return (product[i] - behind[i]) / (2 * step); }));
    return product;
}

Result<std::vector<double>> signedCurvature(const LossFunction& loss, const CounterRng& signs,
                                            const JobContext& context)
{
    QL_TRY(places, gradientPlaces(loss.weights, loss.layers, context));
    QL_TRY(size, weightNorm(loss, context));
    const double step = stepFor<float>(size, std::sqrt(static_cast<double>(lengthOf(places))));
    const auto direction = elementsOf(signs);
    std::vector<double> curvature(places.size());
    for (const double side : {1.0, -1.0}) {
        SignedGradientSums sums(places, signs, context);
        const Shifted<float, decltype(direction)> weights(loss, places, direction, side * step);
        QL_CHECK(lossGradients<float>(
            {loss.graph, weights, loss.windows, 0, loss.windows.count(), nextTokens<float>(loss.windows)}, sums,
            context));
        for (std::size_t i = 0; i < curvature.size(); ++i)
            curvature[i] += side * sums.sum(i) / (2 * step * scoredTokens(loss));
    }
    return curvature;
}

Result<std::int64_t> weightCount(const LossFunction& loss, const JobContext& context)
{
    QL_TRY(places, gradientPlaces(loss.weights, loss.layers, context));
    return lengthOf(places);
}

#define QL_HESSIAN(T)                                                                                                  \
    template Result<std::vector<double>> lossGradient<T>(const LossFunction&, const JobContext&);                      \
    template Result<std::vector<double>> hessianVectorProduct<T>(const LossFunction&, std::span<const double>,         \
                                                                 const JobContext&);
QL_HESSIAN(float)
QL_HESSIAN(double)
#undef QL_HESSIAN

} // namespace ql
