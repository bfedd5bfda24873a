// SPDX-License-Identifier: GPL-3.0-or-later
// y[i] = x[0] + … + x[i] along `axis` (an attribute or integer input 1); `exclusive` = 1 leaves x[i] out, `reverse` = 1
// begins at the end. Sums of real numbers run in double.
#include "core/model/graph/indexing.h"
#include "core/model/graph/row_kernels.h"

namespace ql::graph {

namespace {

template<typename C>
Result<AroundAxis> aroundOf(const C& call)
{
    const auto axes = integersOf(call, "axis", 1).value_or(std::vector<std::int64_t>());
    if (axes.size() != 1)
        return nodeError(call.node, "sums along " + std::to_string(axes.size()) + " axes, where it can be one");
    QL_TRY(axis, axisOf(call.node, call.inputs[0]->shape(), axes.front()));
    return AroundAxis(call.inputs[0]->shape(), axis);
}

template<typename U>
Result<void> sums(const AroundAxis& around, const U* x, bool reverse, bool exclusive, U* y, const JobContext& context)
{
    const auto runs = [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t run = begin; run < end; ++run) {
            const std::int64_t first = run / around.inner * around.size * around.inner + run % around.inner;
            std::conditional_t<std::is_integral_v<U>, U, double> sum = 0;
            for (std::int64_t i = 0; i < around.size; ++i) {
                const std::int64_t at = first + (reverse ? around.size - 1 - i : i) * around.inner;
                const auto before = sum;
                sum = Plus()(sum, static_cast<decltype(sum)>(x[at]));
                y[at] = static_cast<U>(exclusive ? before : sum);
            }
        }
    };
    return parallelFor(context, around.outer * around.inner, rowGrain(around.size), runs);
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(around, aroundOf(call));
    return forEitherKind(call, 0, [&](auto kind) {
        const auto* x = (call.inputs[0]->*kind).data();
        return sums(around, x, call.node.integer("reverse", 0) != 0, call.node.integer("exclusive", 0) != 0,
                    call.make(kind, 0, call.inputs[0]->shape()), call.context);
    });
}

/// Each x is in the sums behind it.
template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    QL_TRY(around, aroundOf(call));
    return sums(around, call.outputGradients[0].data(), call.node.integer("reverse", 0) == 0,
                call.node.integer("exclusive", 0) != 0, call.make(0), call.context);
}

} // namespace

QL_OPERATOR(cumulative_sum, "Cumulative sum", .kinds = "ei")

} // namespace ql::graph
