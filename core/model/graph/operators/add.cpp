// SPDX-License-Identifier: GPL-3.0-or-later
// y = a + b, with NumPy's broadcasting.
#include "core/model/graph/broadcast.h"
#include "core/model/graph/row_kernels.h"

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    return forwardBroadcast(call, Plus());
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    const Array<T>& dy = call.outputGradients[0];
    if (call.real(0).shape() == dy.shape() && call.real(1).shape() == dy.shape()) {
        for (const std::size_t i : {0U, 1U})
            if (call.wants(i))
                call.inputGradients[i] = dy;
        return {};
    }
    return gradientBroadcast(
        call, []([[maybe_unused]] T a, [[maybe_unused]] T b) { return T{1}; },
        []([[maybe_unused]] T a, [[maybe_unused]] T b) { return T{1}; });
}

} // namespace

QL_OPERATOR(add, "Add", .required = 2, .kinds = "e")

} // namespace ql::graph
