// SPDX-License-Identifier: GPL-3.0-or-later
// y = a / b, with NumPy's broadcasting; of integers cut towards zero, as in ONNX.
#include "core/model/graph/broadcast.h"
#include "core/model/graph/row_kernels.h"

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_CHECK(checkDivisor(call));
    return forwardBroadcast(call, [](auto a, auto b) { return b == -1 ? Minus()(decltype(a){0}, a) : a / b; });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    return gradientBroadcast(
        call, []([[maybe_unused]] T a, T b) { return 1 / b; }, [](T a, T b) { return -a / (b * b); });
}

} // namespace

QL_OPERATOR(divide, "Divide", .required = 2, .kinds = "e")

} // namespace ql::graph
