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

/// Calls copy(whole, part, n) for the runs that input i shares with the output.
template<typename Copy>
void forShared(const Pieces& pieces, std::size_t i, const Copy& copy)
{
    const AroundAxis whole(pieces.shape, pieces.axis);
    const std::int64_t n = (pieces.begins[i + 1] - pieces.begins[i]) * whole.inner;
    for (std::int64_t o = 0; o < whole.outer; ++o)
        copy((o * whole.size + pieces.begins[i]) * whole.inner, o * n, n);
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(pieces, piecesOf(call));
    return forEitherKind(call, 0, [&](auto kind) {
        auto* out = call.make(kind, 0, pieces.shape);
        return parallelFor(call.context, std::ssize(call.inputs), 1, [&](std::int64_t begin, std::int64_t) {
            const auto i = static_cast<std::size_t>(begin);
            const auto* in = (call.inputs[i]->*kind).data();
            forShared(pieces, i, [&](std::int64_t whole, std::int64_t part, std::int64_t n) {
                std::copy_n(in + part, n, out + whole);
            });
        });
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
        forShared(pieces, i, [&](std::int64_t whole, std::int64_t part, std::int64_t n) {
            std::copy_n(dy + whole, n, dx + part);
        });
    }
    return call.context.checkStop();
}

} // namespace

QL_OPERATOR(concat, "Concat", .kinds = "e")

} // namespace ql::graph
