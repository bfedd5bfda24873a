// SPDX-License-Identifier: GPL-3.0-or-later
// The axes in the order of `axes`; without it, the reverse order.
#include "core/model/graph/movement.h"

namespace ql::graph {

namespace {

template<typename C>
Result<Movement> movementOf(const C& call)
{
    const Shape& shape = call.inputs[0]->shape();
    const Steps steps = stepsOf(shape);
    Movement movement;
    const auto* axes = call.node.integers("axes");
    for (std::size_t d = 0; d < (axes ? axes->size() : shape.size()); ++d) {
        QL_TRY(axis,
               axisOf(call.node, shape, axes ? (*axes)[d] : std::ssize(shape) - 1 - static_cast<std::int64_t>(d)));
        movement.shape.push_back(shape[axis]);
        movement.steps.push_back(steps[axis]);
    }
    Steps before = steps;
    Steps after = movement.steps;
    std::ranges::sort(before);
    std::ranges::sort(after);
    if (before != after || checkedNumel(movement.shape) != numel(shape))
        return nodeError(call.node, "its axes are no order of those of " + formatShape(shape));
    return movement;
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(movement, movementOf(call));
    return forwardMovement(call, movement);
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    QL_TRY(movement, movementOf(call));
    return gradientMovement(call, movement);
}

} // namespace

QL_OPERATOR(transpose, "Transpose", .kinds = "e")

} // namespace ql::graph
