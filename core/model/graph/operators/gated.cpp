// SPDX-License-Identifier: GPL-3.0-or-later
// y = f(gate) · up, the inner part of a gated MLP (SwiGLU, GeGLU). `function` names f (activation.h). With one input
// [gate, up] stand side by side in its last dimension (Phi-3). Source: Shazeer 2020.
#include "core/model/graph/activation_names.h"
#include "core/model/graph/operator.h"
#include "core/model/graph/row_kernels.h"

namespace ql::graph {

namespace {

/// Where gate and up of row r begin, and their widths.
template<typename T>
struct Sides {
    const T* gate;
    const T* up;
    std::int64_t width, stride;
};

template<typename T, typename C>
Result<Sides<T>> sidesOf(const C& call)
{
    const Array<T>& gate = call.real(0);
    if (call.has(1)) {
        if (call.real(1).shape() != gate.shape())
            return nodeError(call.node,
                             "multiplies " + formatShape(gate.shape()) + " by " + formatShape(call.real(1).shape()));
        return Sides<T>{gate.data(), call.real(1).data(), gate.width(), gate.width()};
    }
    if (gate.width() % 2 != 0)
        return nodeError(call.node, "cannot halve a width of " + std::to_string(gate.width()));
    return Sides<T>{gate.data(), gate.data() + gate.width() / 2, gate.width() / 2, gate.width()};
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(f, activationOf(call.node));
    QL_TRY(sides, sidesOf<T>(call));
    Shape shape = call.real(0).shape();
    shape.back() = sides.width;
    T* y = call.make(0, std::move(shape));
    return parallelFor(call.context, call.real(0).rows(), rowGrain(sides.width),
                       [&](std::int64_t begin, std::int64_t end) {
                           for (std::int64_t r = begin; r < end; ++r) {
                               T* to = y + r * sides.width;
                               activate(f, sides.gate + r * sides.stride, sides.width, to);
                               multiplyTo(to, sides.up + r * sides.stride, sides.width);
                           }
                       });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    QL_TRY(f, activationOf(call.node));
    QL_TRY(sides, sidesOf<T>(call));
    const T* dy = call.outputGradients[0].data();
    T* dGate = call.wants(0) ? call.make(0) : nullptr;
    T* dUp = call.has(1) ? (call.wants(1) ? call.make(1) : nullptr) : dGate ? dGate + sides.width : nullptr;
    return parallelFor(call.context, call.real(0).rows(), rowGrain(sides.width),
                       [&](std::int64_t begin, std::int64_t end) {
                           for (std::int64_t r = begin; r < end; ++r) {
                               const std::int64_t at = r * sides.stride;
                               const T* g = dy + r * sides.width;
                               if (dUp) {
                                   activate(f, sides.gate + at, sides.width, dUp + at);
                                   multiplyTo(dUp + at, g, sides.width);
                               }
                               if (dGate) {
                                   activateDerivative(f, sides.gate + at, sides.width, dGate + at);
                                   multiplyTo(dGate + at, g, sides.width);
                                   multiplyTo(dGate + at, sides.up + at, sides.width);
                               }
                           }
                       });
}

} // namespace

QL_OPERATOR(gated, "Gated activation")

} // namespace ql::graph
