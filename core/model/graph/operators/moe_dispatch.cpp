// SPDX-License-Identifier: GPL-3.0-or-later
// The rows [tokens, width] of x[…, width] that `expert` gets: those whose weight[…, expert] (of moe_route) is not 0, in
// order; possibly none.
#include "core/model/graph/moe.h"

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Array<T>& x = call.real(0);
    QL_TRY(rows, rowsOfExpert(call.node, call.real(1), call.node.integer("expert", 0)));
    if (call.real(1).rows() != x.rows())
        return nodeError(call.node,
                         "routes " + formatShape(x.shape()) + " by weights " + formatShape(call.real(1).shape()));
    T* to = call.make(0, {std::ssize(rows), x.width()});
    for (const std::int64_t row : rows)
        to = std::copy_n(x.data() + row * x.width(), x.width(), to);
    return {};
}

/// The choice has no gradient; the weights have theirs in moe_combine.
template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    QL_TRY(rows, rowsOfExpert(call.node, call.real(1), call.node.integer("expert", 0)));
    const std::int64_t width = call.real(0).width();
    const T* from = call.outputGradients[0].data();
    T* dx = call.makeZeros(0);
    for (const std::int64_t row : rows) {
        std::copy_n(from, width, dx + row * width);
        from += width;
    }
    return {};
}

} // namespace

QL_OPERATOR(moe_dispatch, "Expert input", .required = 2)

} // namespace ql::graph
