// SPDX-License-Identifier: GPL-3.0-or-later
// y = (x − mean) / √(variance + epsilon) · weight + bias per channel of x[batch, channels, …], with the statistics of
// training: inputs x, weight, bias, mean, variance. Source: Ioffe and Szegedy 2015.
#include "core/model/graph/indexing.h"

#include <cmath>

namespace ql::graph {

namespace {

template<typename C>
Result<AroundAxis> channelsOf(const C& call)
{
    const Shape& shape = call.real(0).shape();
    bool fits = shape.size() >= 2;
    for (std::size_t i = 1; i < 5; ++i)
        fits = fits && call.real(i).numel() == shape[1];
    if (!fits)
        return nodeError(call.node,
                         "needs a weight, bias, mean and variance for each channel of " + formatShape(shape));
    return AroundAxis(shape, 1);
}

template<typename T, typename C>
double factorOf(const C& call, std::int64_t channel)
{
    return 1 / std::sqrt(static_cast<double>(call.real(4).data()[channel]) + call.node.number("epsilon", 1e-5));
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(around, channelsOf(call));
    const T* x = call.real(0).data();
    T* y = call.make(0, call.real(0).shape());
    return parallelFor(call.context, around.outer * around.size, rowGrain(around.inner),
                       [&](std::int64_t begin, std::int64_t end) {
                           for (std::int64_t plane = begin; plane < end; ++plane) {
                               const std::int64_t c = plane % around.size;
                               const T mean = call.real(3).data()[c];
                               const T factor = static_cast<T>(factorOf<T>(call, c)) * call.real(1).data()[c];
                               const T bias = call.real(2).data()[c];
                               for (std::int64_t i = plane * around.inner; i < (plane + 1) * around.inner; ++i)
                                   y[i] = (x[i] - mean) * factor + bias;
                           }
                       });
}

/// With f = 1/√(variance + epsilon): dx = dy·w·f, dw = Σ dy·(x − mean)·f, db = Σ dy, dmean = −Σ dy·w·f,
/// dvariance = −½·Σ dy·(x − mean)·w·f³.
template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    QL_TRY(around, channelsOf(call));
    const T* x = call.real(0).data();
    const T* dy = call.outputGradients[0].data();
    T* to[5] = {};
    for (std::size_t i = 0; i < 5; ++i)
        to[i] = call.wants(i) ? call.make(i) : nullptr;
    return parallelFor(call.context, around.size, 1, [&](std::int64_t c, std::int64_t) {
        const double factor = factorOf<T>(call, c);
        const auto weight = static_cast<double>(call.real(1).data()[c]);
        const auto mean = static_cast<double>(call.real(3).data()[c]);
        double sum = 0;
        double inner = 0;
        for (std::int64_t o = 0; o < around.outer; ++o)
            for (std::int64_t i = 0; i < around.inner; ++i) {
                const std::int64_t at = (o * around.size + c) * around.inner + i;
                const auto d = static_cast<double>(dy[at]);
                sum += d;
                inner += d * (static_cast<double>(x[at]) - mean);
                if (to[0])
                    to[0][at] = static_cast<T>(d * weight * factor);
            }
        const double gradients[5] = {0, inner * factor, sum, -sum * weight * factor,
                                     -0.5 * inner * weight * factor * factor * factor};
        for (std::size_t i = 1; i < 5; ++i)
            if (to[i])
                to[i][c] = static_cast<T>(gradients[i]);
    });
}

} // namespace

QL_OPERATOR(batch_norm, "BatchNorm", .required = 5)

} // namespace ql::graph
