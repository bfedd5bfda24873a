// SPDX-License-Identifier: GPL-3.0-or-later
// x[…, n, m] with zeros below its diagonal, or with `upper` = 0 above it; the diagonal is that of column = row + k,
// where k is integer input 1 (0 if it is left out).
#include "core/model/graph/indexing.h"

namespace ql::graph {

namespace {

template<typename U, typename C>
Result<void> triangle(const C& call, const U* x, U* y)
{
    const Shape& shape = call.inputs[0]->shape();
    const std::int64_t n = shape[shape.size() - 2];
    const std::int64_t m = shape.back();
    const auto given = integersOf(call, "", 1).value_or(std::vector<std::int64_t>{0});
    const std::int64_t k = std::clamp(given.empty() ? 0 : given.front(), -n - m, n + m);
    const bool upper = call.node.integer("upper", 1) != 0;
    return parallelFor(call.context, RowCount(shape).rows, rowGrain(m), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
            const std::int64_t diagonal = row % n + k;
            const std::int64_t first = upper ? std::clamp<std::int64_t>(diagonal, 0, m) : 0;
            const std::int64_t last = upper ? m : std::clamp<std::int64_t>(diagonal + 1, 0, m);
            U* const to = y + row * m;
            std::fill(to, to + first, U{0});
            std::copy(x + row * m + first, x + row * m + last, to + first);
            std::fill(to + last, to + m, U{0});
        }
    });
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Shape& shape = call.inputs[0]->shape();
    if (shape.size() < 2)
        return nodeError(call.node, "there is no triangle in " + formatShape(shape));
    return forEitherKind(
        call, 0, [&](auto kind) { return triangle(call, (call.inputs[0]->*kind).data(), call.make(kind, 0, shape)); });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    return call.wants(0) ? triangle(call, call.outputGradients[0].data(), call.make(0)) : Result<void>();
}

} // namespace

QL_OPERATOR(triangle, "Triangle of a matrix", .kinds = "ei")

} // namespace ql::graph
