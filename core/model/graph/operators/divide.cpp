// SPDX-License-Identifier: GPL-3.0-or-later
// y = a / b, with NumPy's broadcasting; of integers cut towards zero, as in ONNX.
#include "core/model/graph/broadcast.h"

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Array<std::int64_t>& divisor = call.integers(1);
    if (std::find(divisor.data(), divisor.data() + divisor.numel(), 0) != divisor.data() + divisor.numel())
        return nodeError(call.node, "divides integers by zero");
    return forwardBroadcast(call, [](auto a, auto b) { return a / b; });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    return gradientBroadcast(
        call, []([[maybe_unused]] T a, T b) { return 1 / b; }, [](T a, T b) { return -a / (b * b); });
}

} // namespace

QL_OPERATOR(divide, "Divide", .required = 2)

} // namespace ql::graph
