// SPDX-License-Identifier: GPL-3.0-or-later
// Y = X·Wᵀ + b: X[…, in], W[out, in], optional b[out]. `transposed` = 1: W is stored as [in, out] (GPT-2, ONNX). A
// stack of experts' weights W[experts, out, in], or [experts·out, in] with their number as `experts`, with b[experts,
// out] is one layer; the node uses number `expert` of it, and the gradients of W and b are those of that expert alone,
// [out, in] and [out].
#include "core/base/matrix_product.h"
#include "core/jobs/tiles.h"
#include "core/model/graph/operator.h"
#include "core/model/graph/row_kernels.h"
#include "core/model/graph/stored_weights.h"

namespace ql::graph {

namespace {

template<typename T>
struct Weights {
    std::int64_t first = -1; // of the expert's elements
    const T* bias = nullptr;
    Shape shape; // as stored, of one expert
    std::int64_t in = 0, out = 0;
    bool transposed = false;
};

template<typename T, typename C>
Result<Weights<T>> weightsOf(const C& call)
{
    const Array<T>& x = call.real(0);
    Shape shape = call.inputs[1]->shape();
    const std::int64_t expert = call.node.integer("expert", -1);
    const std::int64_t experts = call.node.integer("experts", 0);
    const std::size_t stacked = expert >= 0 ? 1 : 0;
    if (stacked && experts > 0 && shape.size() == 2 && shape[0] % experts == 0)
        shape = {experts, shape[0] / experts, shape[1]};
    Weights<T> weights;
    weights.transposed = call.node.integer("transposed", 0) != 0;
    if (shape.size() == 2 + stacked && (!stacked || expert < shape[0])) {
        weights.shape.assign(shape.end() - 2, shape.end());
        weights.out = weights.shape[weights.transposed ? 1 : 0];
        weights.in = weights.shape[weights.transposed ? 0 : 1];
        weights.first = stacked ? expert * weights.in * weights.out : 0;
    }
    if (x.shape().empty() || weights.first < 0 || x.width() != weights.in)
        return nodeError(call.node, "inputs of width " + std::to_string(x.width()) + " meet weights " +
                                        formatShape(shape) + (stacked ? " at " + std::to_string(expert) : ""));
    if (call.has(2)) {
        if (call.real(2).numel() != (stacked ? shape[0] : 1) * weights.out)
            return nodeError(call.node, "the bias has shape " + formatShape(call.real(2).shape()) + " beside weights " +
                                            formatShape(shape));
        weights.bias = call.real(2).data() + (stacked ? expert * weights.out : 0);
    }
    return weights;
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Array<T>& x = call.real(0);
    QL_TRY(weights, weightsOf<T>(call));
    Shape shape = x.shape();
    shape.back() = weights.out;
    T* y = call.make(0, std::move(shape));
    if (weights.bias)
        QL_CHECK(parallelFor(call.context, x.rows(), rowGrain(weights.out), [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t r = begin; r < end; ++r)
                std::copy_n(weights.bias, weights.out, y + r * weights.out);
        }));
    Array<T> w = call.real(1);
    if (const TensorData& stored = call.inputs[1]->stored; !w) {
        if constexpr (std::is_same_v<T, float>)
            if (x.rows() == 1) {
                if (!weights.bias)
                    std::fill_n(y, weights.out, T{0});
                return addProduct(stored.view, x.data(), y, call.context);
            }
        QL_TRY(made, decoded<T>(stored, call.context));
        w = std::move(made);
    }
    return multiply(MatrixProduct<T>{.rows = x.rows(),
                                     .cols = weights.out,
                                     .depth = weights.in,
                                     .a = x.data(),
                                     .aStride = weights.in,
                                     .b = w.data() + weights.first,
                                     .bStride = weights.shape[1],
                                     .bTransposed = !weights.transposed,
                                     .c = y,
                                     .cStride = weights.out,
                                     .beta = weights.bias ? T{1} : T{0}},
                    parallelTiles(call.context));
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    const Array<T>& x = call.real(0);
    QL_TRY(weights, weightsOf<T>(call));
    const T* dy = call.outputGradients[0].data();
    const TileRunner tiles = parallelTiles(call.context);
    if (call.wants(0)) // dX = dY·W
        QL_CHECK(multiply(MatrixProduct<T>{.rows = x.rows(),
                                           .cols = weights.in,
                                           .depth = weights.out,
                                           .a = dy,
                                           .aStride = weights.out,
                                           .b = call.real(1).data() + weights.first,
                                           .bStride = weights.shape[1],
                                           .bTransposed = weights.transposed,
                                           .c = call.make(0),
                                           .cStride = weights.in},
                          tiles));
    if (call.wants(1)) { // dW = dYᵀ·X, or Xᵀ·dY where W is transposed
        const bool swap = weights.transposed;
        QL_CHECK(multiply(MatrixProduct<T>{.rows = weights.shape[0],
                                           .cols = weights.shape[1],
                                           .depth = x.rows(),
                                           .a = swap ? x.data() : dy,
                                           .aStride = weights.shape[0],
                                           .aTransposed = true,
                                           .b = swap ? dy : x.data(),
                                           .bStride = weights.shape[1],
                                           .c = call.make(1, weights.shape),
                                           .cStride = weights.shape[1]},
                          tiles));
    }
    if (call.wants(2)) {
        T* bias = call.make(2, {weights.out});
        std::fill_n(bias, weights.out, T{0});
        for (std::int64_t r = 0; r < x.rows(); ++r)
            addTo(bias, dy + r * weights.out, weights.out);
    }
    return {};
}

} // namespace

QL_OPERATOR(
    linear, "Linear", .required = 2, .weights = 1, .activations = 0, .takesStored = [](const Node& node) {
        return node.integer("transposed", 0) == 0 && node.integer("expert", -1) < 0;
    })

} // namespace ql::graph
