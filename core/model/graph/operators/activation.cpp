// SPDX-License-Identifier: GPL-3.0-or-later
// y = f(x), element by element; `function` names f.
#include "core/model/graph/activation_names.h"
#include "core/model/graph/operator.h"
#include "core/model/graph/row_kernels.h"

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(f, activationOf(call.node));
    const Array<T>& x = call.real(0);
    T* y = call.make(0, x.shape());
    return parallelFor(call.context, x.numel(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
        activate(f, x.data() + begin, end - begin, y + begin);
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    QL_TRY(f, activationOf(call.node));
    const Array<T>& x = call.real(0);
    const T* dy = call.outputGradients[0].data();
    T* dx = call.make(0);
    return parallelFor(call.context, x.numel(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
        activateDerivative(f, x.data() + begin, end - begin, dx + begin);
        multiplyTo(dx + begin, dy + begin, end - begin);
    });
}

} // namespace

QL_OPERATOR(activation, "Activation")

} // namespace ql::graph
