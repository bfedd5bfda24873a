// SPDX-License-Identifier: GPL-3.0-or-later
// Parts of x by integers [i…, k], each row of which is the place of a part along k axes and may count from the end:
// [i…, the axes behind]. The first `batch` axes of both are the same and come before the k axes.
#include "core/model/graph/indexing.h"

namespace ql::graph {

namespace {

struct Parts {
    std::size_t batch = 0, k = 0; // axes
    std::int64_t rows = 0, perBatch = 1, batchSize = 1, inner = 1;
    Shape shape;
};

template<typename C>
Result<Parts> partsOf(const C& call)
{
    const Shape& x = call.inputs[0]->shape();
    const Shape& places = call.inputs[1]->shape();
    const std::int64_t batch = call.node.integer("batch", 0);
    const std::int64_t k = places.empty() ? 0 : places.back();
    if (batch < 0 || k < 1 || batch >= std::ssize(places) || k > std::ssize(x) - batch ||
        !std::equal(places.begin(), places.begin() + batch, x.begin()))
        return nodeError(call.node, "cannot find places " + formatShape(places) + " in " + formatShape(x));
    Parts parts{static_cast<std::size_t>(batch),        static_cast<std::size_t>(k), numel(places) / k, 1, 1, 1,
                Shape(places.begin(), places.end() - 1)};
    for (std::size_t d = parts.batch; d + 1 < places.size(); ++d)
        parts.perBatch *= places[d];
    for (std::size_t d = parts.batch; d < x.size(); ++d) {
        parts.batchSize *= x[d];
        if (d < parts.batch + parts.k)
            continue;
        parts.inner *= x[d];
        parts.shape.push_back(x[d]);
    }
    return parts;
}

/// Calls copy(out, in, n) for each part, in order.
template<typename C, typename Copy>
Result<void> forParts(const C& call, const Parts& parts, const Copy& copy)
{
    const Shape& x = call.inputs[0]->shape();
    const Steps steps = stepsOf(x);
    for (std::int64_t row = 0; row < parts.rows; ++row) {
        std::int64_t from = row / parts.perBatch * parts.batchSize;
        for (std::size_t i = 0; i < parts.k; ++i) {
            const std::int64_t size = x[parts.batch + i];
            const std::int64_t wanted =
                call.integers(1).data()[row * static_cast<std::int64_t>(parts.k) + static_cast<std::int64_t>(i)];
            const std::int64_t at = wanted < 0 ? wanted + size : wanted;
            if (at < 0 || at >= size)
                return nodeError(call.node, "there is no element " + std::to_string(wanted) + " along axis " +
                                                std::to_string(parts.batch + i) + " of " + formatShape(x));
            from += at * steps[parts.batch + i];
        }
        copy(row * parts.inner, from, parts.inner);
    }
    return call.context.checkStop();
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(parts, partsOf(call));
    return forEitherKind(call, 0, [&](auto kind) {
        const auto* from = (call.inputs[0]->*kind).data();
        auto* to = call.make(kind, 0, parts.shape);
        return forParts(call, parts,
                        [&](std::int64_t i, std::int64_t j, std::int64_t n) { std::copy_n(from + j, n, to + i); });
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    QL_TRY(parts, partsOf(call));
    const T* dy = call.outputGradients[0].data();
    T* dx = call.makeZeros(0);
    return forParts(call, parts, [&](std::int64_t i, std::int64_t j, std::int64_t n) {
        for (std::int64_t c = 0; c < n; ++c)
            dx[j + c] += dy[i + c];
    });
}

} // namespace

QL_OPERATOR(gather_nd, "Gather by places", .required = 2, .kinds = "ei")

} // namespace ql::graph
