// SPDX-License-Identifier: GPL-3.0-or-later
// The inputs one behind the other along `axis`.
#include "core/model/graph/indexing.h"

namespace ql::graph {

namespace {

/// Where along the axis each input begins; the last entry is the whole.
struct Pieces {
    std::size_t axis = 0;
    std::vector<std::int64_t> begins{0};
    Shape shape;
};

template<typename C>
Result<Pieces> piecesOf(const C& call)
{
    Pieces pieces;
    pieces.shape = call.inputs[0]->shape();
    QL_TRY(axis, axisOf(call.node, pieces.shape, call.node.integer("axis", -1)));
    pieces.axis = axis;
    for (const auto* input : call.inputs) {
        if (!input)
            return nodeError(call.node, "lacks an input between others");
        Shape shape = input->shape();
        if (shape.size() == pieces.shape.size())
            pieces.begins.push_back(pieces.begins.back() + std::exchange(shape[axis], pieces.shape[axis]));
        if (shape != pieces.shape || static_cast<bool>(input->real) != static_cast<bool>(call.inputs[0]->real))
            return nodeError(call.node, "cannot join " + formatShape(input->shape()) + " to " +
                                            formatShape(pieces.shape) + " along axis " + std::to_string(axis));
    }
    pieces.shape[axis] = pieces.begins.back();
    return pieces;
}

/// Calls copy(whole, part, n) for the runs that input i shares with the output, cut into pieces.
template<typename Copy>
Result<void> forShared(const Pieces& pieces, std::size_t i, const JobContext& context, const Copy& copy)
{
    const AroundAxis whole(pieces.shape, pieces.axis);
    const std::int64_t length = (pieces.begins[i + 1] - pieces.begins[i]) * whole.inner;
    return parallelFor(context, whole.outer * length, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t n = 0; begin < end; begin += n) {
            const std::int64_t o = begin / length;
            n = std::min(end, (o + 1) * length) - begin;
            copy((o * whole.size + pieces.begins[i]) * whole.inner + begin - o * length, begin, n);
        }
    });
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(pieces, piecesOf(call));
    return forEitherKind(call, 0, [&](auto kind) -> Result<void> {
        auto* out = call.make(kind, 0, pieces.shape);
        for (std::size_t i = 0; i < call.inputs.size(); ++i) {
            const auto* in = (call.inputs[i]->*kind).data();
            QL_CHECK(forShared(pieces, i, call.context, [&](std::int64_t whole, std::int64_t part, std::int64_t n) {
                std::copy_n(in + part, n, out + whole);
            }));
        }
        return {};
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    QL_TRY(pieces, piecesOf(call));
    const T* dy = call.outputGradients[0].data();
    for (std::size_t i = 0; i < call.inputs.size(); ++i) {
        if (!call.wants(i))
            continue;
        T* dx = call.make(i);
        QL_CHECK(forShared(pieces, i, call.context, [&](std::int64_t whole, std::int64_t part, std::int64_t n) {
            std::copy_n(dy + whole, n, dx + part);
        }));
    }
    return {};
}

} // namespace

QL_OPERATOR(concat, "Concat", .kinds = "e")

} // namespace ql::graph
