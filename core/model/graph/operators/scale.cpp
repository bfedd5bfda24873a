// SPDX-License-Identifier: GPL-3.0-or-later
// y = factor · x + offset, with two numbers the node carries; defaults 1 and 0.
#include "core/model/graph/operator.h"
#include "core/model/graph/row_kernels.h"

namespace ql::graph {

namespace {

template<typename T>
Result<void> scaled(const Array<T>& x, double factor, double offset, T* y, const JobContext& context)
{
    return parallelFor(context, x.numel(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
        scaleRow(x.data() + begin, end - begin, static_cast<T>(factor), static_cast<T>(offset), y + begin);
    });
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Array<T>& x = call.real(0);
    return scaled(x, call.node.number("factor", 1), call.node.number("offset", 0), call.make(0, x.shape()),
                  call.context);
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    return call.wants(0) ? scaled(call.outputGradients[0], call.node.number("factor", 1), 0, call.make(0), call.context)
                         : Result<void>();
}

} // namespace

QL_OPERATOR(scale, "Scale")

} // namespace ql::graph
