// SPDX-License-Identifier: GPL-3.0-or-later
// y = cap · tanh(x / cap): bounds logits smoothly. Source: Gemma 2, 2024.
#include "core/model/graph/operator.h"
#include "core/model/graph/row_kernels.h"

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Array<T>& x = call.real(0);
    const double cap = call.node.number("cap", 0);
    if (!(cap > 0))
        return nodeError(call.node, "needs a cap above 0");
    T* y = call.make(0, x.shape());
    return parallelFor(call.context, x.numel(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
        softcap(x.data() + begin, end - begin, static_cast<T>(cap), y + begin);
    });
}

/// dx = dy · (1 − (y / cap)²).
template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    const auto cap = static_cast<T>(call.node.number("cap", 0));
    const T* y = call.output(0).data();
    const T* dy = call.outputGradients[0].data();
    T* dx = call.make(0);
    return parallelFor(call.context, call.real(0).numel(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
            dx[i] = dy[i] * (1 - y[i] / cap * (y[i] / cap));
    });
}

} // namespace

QL_OPERATOR(softcap, "Softcap")

} // namespace ql::graph
