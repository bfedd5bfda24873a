// SPDX-License-Identifier: GPL-3.0-or-later
// Slices of x along `axis` (default 0) by integers [i…], which may count from the end:
// [before the axis, i…, behind the axis].
#include "core/model/graph/indexing.h"

namespace ql::graph {

namespace {

/// Calls copy(out, in, n) for each slice, in order.
template<typename C, typename Copy>
Result<void> forSlices(const C& call, std::size_t axis, const Copy& copy)
{
    const Shape& shape = call.inputs[0]->shape();
    const AroundAxis around(shape, axis);
    const Array<std::int64_t>& indices = call.integers(1);
    for (std::int64_t o = 0; o < around.outer; ++o)
        for (std::int64_t i = 0; i < indices.numel(); ++i) {
            const std::int64_t wanted = indices.data()[i];
            const std::int64_t at = wanted < 0 ? wanted + around.size : wanted;
            if (at < 0 || at >= around.size)
                return nodeError(call.node, "there is no element " + std::to_string(wanted) + " along axis " +
                                                std::to_string(axis) + " of " + formatShape(shape));
            copy((o * indices.numel() + i) * around.inner, (o * around.size + at) * around.inner, around.inner);
        }
    return call.context.checkStop();
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Shape& shape = call.inputs[0]->shape();
    QL_TRY(axis, axisOf(call.node, shape, call.node.integer("axis", 0)));
    Shape out = shape;
    const auto place = out.erase(out.begin() + static_cast<std::ptrdiff_t>(axis));
    const Shape& indices = call.inputs[1]->shape();
    out.insert(place, indices.begin(), indices.end());
    return forEitherKind(call, 0, [&](auto kind) {
        const auto* from = (call.inputs[0]->*kind).data();
        auto* to = call.make(kind, 0, out);
        return forSlices(call, axis,
                         [&](std::int64_t i, std::int64_t j, std::int64_t n) { std::copy_n(from + j, n, to + i); });
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    QL_TRY(axis, axisOf(call.node, call.real(0).shape(), call.node.integer("axis", 0)));
    const T* dy = call.outputGradients[0].data();
    T* dx = call.makeZeros(0);
    return forSlices(call, axis, [&](std::int64_t i, std::int64_t j, std::int64_t n) {
        for (std::int64_t c = 0; c < n; ++c)
            dx[j + c] += dy[i + c];
    });
}

} // namespace

QL_OPERATOR(gather, "Gather", .required = 2, .kinds = "ei")

} // namespace ql::graph
