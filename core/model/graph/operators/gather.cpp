// SPDX-License-Identifier: GPL-3.0-or-later
// Slices of x along `axis` (default 0) by integers [i…], which may count from the end:
// [before the axis, i…, behind the axis].
#include "core/model/graph/indexing.h"
#include "core/model/graph/row_kernels.h"

namespace ql::graph {

namespace {

/// Which part of x every slice is.
struct Slices {
    AroundAxis around;
    std::vector<std::int64_t> places; // along the axis
    Shape shape;

    std::int64_t count() const { return around.outer * std::ssize(places); }
    std::int64_t from(std::int64_t slice) const
    {
        const auto n = std::ssize(places);
        return (slice / n * around.size + places[static_cast<std::size_t>(slice % n)]) * around.inner;
    }
};

template<typename C>
Result<Slices> slicesOf(const C& call)
{
    const Shape& shape = call.inputs[0]->shape();
    const Array<std::int64_t>& indices = call.integers(1);
    QL_TRY(axis, axisOf(call.node, shape, call.node.integer("axis", 0)));
    Slices slices{AroundAxis(shape, axis), {indices.data(), indices.data() + indices.numel()}, shape};
    for (std::int64_t& place : slices.places) {
        const std::int64_t wanted = place;
        place += wanted < 0 ? slices.around.size : 0;
        if (place < 0 || place >= slices.around.size)
            return nodeError(call.node, "there is no element " + std::to_string(wanted) + " along axis " +
                                            std::to_string(axis) + " of " + formatShape(shape));
    }
    const auto at = slices.shape.erase(slices.shape.begin() + static_cast<std::ptrdiff_t>(axis));
    slices.shape.insert(at, indices.shape().begin(), indices.shape().end());
    return slices;
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(slices, slicesOf(call));
    const std::int64_t n = slices.around.inner;
    return forEitherKind(call, 0, [&](auto kind) {
        const auto* from = (call.inputs[0]->*kind).data();
        auto* to = call.make(kind, 0, slices.shape);
        return parallelFor(call.context, slices.count(), rowGrain(n), [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t slice = begin; slice < end; ++slice)
                std::copy_n(from + slices.from(slice), n, to + slice * n);
        });
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    QL_TRY(slices, slicesOf(call));
    const std::int64_t n = slices.around.inner;
    const T* dy = call.outputGradients[0].data();
    T* dx = call.makeZeros(0);
    // Slices in order: a place taken twice adds up the same way for any thread count.
    for (std::int64_t slice = 0; slice < slices.count(); ++slice) {
        if (slice % rowGrain(n) == 0)
            QL_CHECK(call.context.checkStop());
        addTo(dx + slices.from(slice), dy + slice * n, n);
    }
    return {};
}

} // namespace

QL_OPERATOR(gather, "Gather", .required = 2, .kinds = "ei")

} // namespace ql::graph
