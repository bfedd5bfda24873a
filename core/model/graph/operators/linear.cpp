// SPDX-License-Identifier: GPL-3.0-or-later
// Y = X·Wᵀ + b: X[…, in], W[out, in], optional b[out].
#include "core/base/matrix_product.h"
#include "core/jobs/tiles.h"
#include "core/model/graph/operator.h"

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Array<T>& x = call.real(0);
    const Array<T>& w = call.real(1);
    if (w.shape().size() != 2 || x.width() != w.width())
        return nodeError(call.node,
                         "inputs of width " + std::to_string(x.width()) + " meet weights " + formatShape(w.shape()));
    const std::int64_t outWidth = w.rows();
    if (call.has(2) && call.real(2).numel() != outWidth)
        return nodeError(call.node, "the bias has shape " + formatShape(call.real(2).shape()));
    Shape shape = x.shape();
    shape.back() = outWidth;
    T* y = call.make(0, std::move(shape));
    if (call.has(2)) {
        const T* bias = call.real(2).data();
        for (std::int64_t r = 0; r < x.rows(); ++r)
            std::copy_n(bias, outWidth, y + r * outWidth);
    }
    return multiply(MatrixProduct<T>{.rows = x.rows(),
                                     .cols = outWidth,
                                     .depth = x.width(),
                                     .a = x.data(),
                                     .aStride = x.width(),
                                     .b = w.data(),
                                     .bStride = w.width(),
                                     .bTransposed = true,
                                     .c = y,
                                     .cStride = outWidth,
                                     .beta = call.has(2) ? T{1} : T{0}},
                    parallelTiles(call.context));
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    const Array<T>& x = call.real(0);
    const Array<T>& w = call.real(1);
    const Array<T>& dy = call.outputGradients[0];
    const TileRunner tiles = parallelTiles(call.context);
    if (call.wants(0)) // dX = dY·W
        QL_CHECK(multiply(MatrixProduct<T>{.rows = x.rows(),
                                           .cols = x.width(),
                                           .depth = w.rows(),
                                           .a = dy.data(),
                                           .aStride = w.rows(),
                                           .b = w.data(),
                                           .bStride = w.width(),
                                           .c = call.make(0),
                                           .cStride = x.width()},
                          tiles));
    if (call.wants(1)) // dW = dYᵀ·X
        QL_CHECK(multiply(MatrixProduct<T>{.rows = w.rows(),
                                           .cols = w.width(),
                                           .depth = x.rows(),
                                           .a = dy.data(),
                                           .aStride = w.rows(),
                                           .aTransposed = true,
                                           .b = x.data(),
                                           .bStride = x.width(),
                                           .c = call.make(1),
                                           .cStride = w.width()},
                          tiles));
    if (call.wants(2)) {
        T* bias = call.make(2);
        std::fill_n(bias, w.rows(), T{0});
        for (std::int64_t r = 0; r < x.rows(); ++r)
            for (std::int64_t c = 0; c < w.rows(); ++c)
                bias[c] += dy.data()[r * w.rows() + c];
    }
    return {};
}

} // namespace

QL_OPERATOR(linear, "Linear", .weights = 1, .activations = 0)

} // namespace ql::graph
