// SPDX-License-Identifier: GPL-3.0-or-later
// The numbers start, start + step, … before limit: three scalars of one kind.
#include "core/model/graph/indexing.h"
#include "core/model/graph/row_kernels.h"

#include <cmath>

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    for (const auto* input : call.inputs)
        if (numel(input->shape()) != 1 || static_cast<bool>(input->real) != static_cast<bool>(call.real(0)))
            return nodeError(call.node, "needs three scalars of one kind");
    return forEitherKind(call, 0, [&](auto kind) -> Result<void> {
        const auto scalar = [&](std::size_t i) { return (call.inputs[i]->*kind).data()[0]; };
        const double span = static_cast<double>(scalar(1)) - static_cast<double>(scalar(0));
        const double count = std::max(0.0, std::ceil(span / static_cast<double>(scalar(2))));
        if (!(count < static_cast<double>(kLimit)))
            return nodeError(call.node, "would have more than 2³¹ numbers");
        auto* out = call.make(kind, 0, {static_cast<std::int64_t>(count)});
        return parallelFor(
            call.context, static_cast<std::int64_t>(count), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
                for (std::int64_t i = begin; i < end; ++i)
                    out[i] = Plus()(scalar(0), Times()(static_cast<std::decay_t<decltype(*out)>>(i), scalar(2)));
            });
    });
}

} // namespace

QL_OPERATOR_WITHOUT_GRADIENT(range, "Range", .required = 3, .kinds = "e")

} // namespace ql::graph
