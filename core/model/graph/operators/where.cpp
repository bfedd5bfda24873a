// SPDX-License-Identifier: GPL-3.0-or-later
// a where the integers c (input 0) are not 0 and b elsewhere, with NumPy's broadcasting.
#include "core/model/graph/indexing.h"

namespace ql::graph {

namespace {

struct Joint {
    Shape shape;
    Steps steps[3];
};

template<typename C>
Result<Joint> jointOf(const C& call)
{
    std::optional<Shape> shape = Shape();
    for (const auto* input : call.inputs)
        if (shape)
            shape = broadcastShape(*shape, input->shape());
    if (!shape || static_cast<bool>(call.real(1)) != static_cast<bool>(call.real(2)))
        return nodeError(call.node, "shapes " + formatShape(call.inputs[0]->shape()) + " (integers), " +
                                        formatShape(call.inputs[1]->shape()) + " and " +
                                        formatShape(call.inputs[2]->shape()) + " (of one kind) are needed to agree");
    Joint joint{*shape, {}};
    for (std::size_t i = 0; i < 3; ++i)
        joint.steps[i] = broadcastSteps(call.inputs[i]->shape(), *shape);
    return joint;
}

/// Calls visit(i, which, at) for every element: it is element `at` of input `which`.
template<typename Visit>
void forElements(const Joint& joint, const std::int64_t* chosen, std::int64_t begin, std::int64_t end,
                 const Visit& visit)
{
    forRows<3>(joint.shape, {&joint.steps[0], &joint.steps[1], &joint.steps[2]}, begin, end,
               [&](std::int64_t i, const auto& at, std::int64_t n) {
                   for (std::int64_t c = 0; c < n; ++c) {
                       const std::size_t which = chosen[at[0] + c * lastOf(joint.steps[0])] != 0 ? 1 : 2;
                       visit(i + c, which, at[which] + c * lastOf(joint.steps[which]));
                   }
               });
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(joint, jointOf(call));
    return forEitherKind(call, 1, [&](auto kind) {
        auto* out = call.make(kind, 0, joint.shape);
        const RowCount count(joint.shape);
        return parallelFor(call.context, count.rows, rowGrain(count.n), [&](std::int64_t begin, std::int64_t end) {
            forElements(joint, call.integers(0).data(), begin, end,
                        [&](std::int64_t i, std::size_t which, std::int64_t at) {
                            out[i] = (call.inputs[which]->*kind).data()[at];
                        });
        });
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    QL_TRY(joint, jointOf(call));
    T* const to[3] = {nullptr, call.makeZeros(1), call.makeZeros(2)};
    const T* dy = call.outputGradients[0].data();
    forElements(joint, call.integers(0).data(), 0, RowCount(joint.shape).rows,
                [&](std::int64_t i, std::size_t which, std::int64_t at) {
                    if (to[which])
                        to[which][at] += dy[i];
                });
    return call.context.checkStop();
}

} // namespace

QL_OPERATOR(where, "Where", .required = 3, .kinds = "ie")

} // namespace ql::graph
