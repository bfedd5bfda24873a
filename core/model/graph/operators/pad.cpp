// SPDX-License-Identifier: GPL-3.0-or-later
// x with `value` (or scalar input 2) around it: `pads` (or integer input 1) are the widths before every axis, then
// those behind; integer input 3 names the axes they are of.
#include "core/model/graph/indexing.h"

namespace ql::graph {

namespace {

/// Where x lies in the output.
struct Frame {
    Shape shape;
    Steps steps;
    std::int64_t first = 0;
};

template<typename C>
Result<Frame> frameOf(const C& call)
{
    Frame frame{call.inputs[0]->shape(), {}, 0};
    const std::size_t rank = frame.shape.size();
    const auto pads = integersOf(call, "pads", 1);
    const auto axes = integersOf(call, "", 3);
    const std::size_t padded = axes ? axes->size() : rank;
    if (!pads || pads->size() != 2 * padded ||
        std::ranges::any_of(*pads, [](std::int64_t pad) { return pad < 0 || pad >= kLimit; }))
        return nodeError(call.node, "needs two widths of at least 0 for each axis of " + formatShape(frame.shape));
    std::vector<std::int64_t> before(rank, 0);
    for (std::size_t i = 0; i < padded; ++i) {
        QL_TRY(axis, axisOf(call.node, frame.shape, axes ? (*axes)[i] : static_cast<std::int64_t>(i)));
        before[axis] = (*pads)[i];
        frame.shape[axis] += (*pads)[i] + (*pads)[padded + i];
    }
    if (!isAddressable(frame.shape))
        return nodeError(call.node, "cannot make an array of shape " + formatShape(frame.shape));
    frame.steps = stepsOf(frame.shape);
    for (std::size_t d = 0; d < rank; ++d)
        frame.first += before[d] * frame.steps[d];
    return frame;
}

/// Calls copy(in, out, n) for each row of x.
template<typename Copy>
void forInner(const Shape& shape, const Frame& frame, const Copy& copy)
{
    forRows<1>(shape, {&frame.steps}, 0, RowCount(shape).rows,
               [&](std::int64_t i, const auto& at, std::int64_t n) { copy(i, frame.first + at[0], n); });
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(frame, frameOf(call));
    return forEitherKind(call, 0, [&](auto kind) {
        const auto& x = call.inputs[0]->*kind;
        using U = std::decay_t<decltype(*x.data())>;
        U* out = call.make(kind, 0, frame.shape);
        U value = static_cast<U>(call.node.number("value", 0));
        if (call.has(2)) {
            const auto& given = call.inputs[2]->*kind;
            if (!given || given.numel() != 1)
                return Result<void>(nodeError(call.node, "needs one number of the kind of " + formatShape(x.shape())));
            value = given.data()[0];
        }
        std::fill_n(out, numel(frame.shape), value);
        forInner(x.shape(), frame,
                 [&](std::int64_t in, std::int64_t at, std::int64_t n) { std::copy_n(x.data() + in, n, out + at); });
        return call.context.checkStop();
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    QL_TRY(frame, frameOf(call));
    const T* dy = call.outputGradients[0].data();
    T* dx = call.make(0);
    forInner(call.real(0).shape(), frame,
             [&](std::int64_t in, std::int64_t at, std::int64_t n) { std::copy_n(dy + at, n, dx + in); });
    return call.context.checkStop();
}

} // namespace

QL_OPERATOR(pad, "Pad", .kinds = "eiei")

} // namespace ql::graph
