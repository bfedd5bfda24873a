// SPDX-License-Identifier: GPL-3.0-or-later
// Elements starts[i], starts[i] + steps[i], … before ends[i] of axes[i]: four lists of integers, as attributes or
// inputs 1 to 4; negative ones count from the end, `axes` defaults to the first ones, `steps` to 1, as in ONNX and
// NumPy. Or, by `parts` and `part`, one of equal parts of `axis` (the last may be shorter).
#include "core/model/graph/movement.h"

namespace ql::graph {

namespace {

template<typename C>
Result<Movement> movementOf(const C& call)
{
    const Shape& shape = call.inputs[0]->shape();
    Movement movement{shape, stepsOf(shape)};
    if (const std::int64_t parts = call.node.integer("parts", 0); parts > 0) {
        QL_TRY(axis, axisOf(call.node, shape, call.node.integer("axis", -1)));
        const std::int64_t size = ceilDiv(shape[axis], parts);
        const std::int64_t begin = std::min(shape[axis], call.node.integer("part", 0) * size);
        movement.shape[axis] = std::min(size, shape[axis] - begin);
        movement.first = begin * movement.steps[axis];
        return movement;
    }
    const auto starts = integersOf(call, "starts", 1);
    const auto ends = integersOf(call, "ends", 2);
    const auto axes = integersOf(call, "axes", 3);
    const auto steps = integersOf(call, "steps", 4);
    if (!starts || !ends || starts->size() != ends->size() || (axes && axes->size() != starts->size()) ||
        (steps && steps->size() != starts->size()))
        return nodeError(call.node, "needs as many ends, axes and steps as starts");
    for (std::size_t i = 0; i < starts->size(); ++i) {
        QL_TRY(axis, axisOf(call.node, shape, axes ? (*axes)[i] : static_cast<std::int64_t>(i)));
        const std::int64_t size = shape[axis];
        const std::int64_t step = std::clamp(steps ? (*steps)[i] : 1, -size - 1, size + 1);
        if (step == 0)
            return nodeError(call.node, "has a step of 0");
        // Backwards the last place is −1, before the first element.
        const auto place = [&](std::int64_t at) {
            return std::clamp<std::int64_t>(at < 0 ? std::max(at, -size - 1) + size : at, step < 0 ? -1 : 0,
                                            step < 0 ? size - 1 : size);
        };
        const std::int64_t begin = place((*starts)[i]);
        const std::int64_t length = (place((*ends)[i]) - begin) * (step < 0 ? -1 : 1);
        movement.shape[axis] = length > 0 ? ceilDiv(length, std::abs(step)) : 0;
        movement.first += movement.shape[axis] > 0 ? begin * movement.steps[axis] : 0;
        movement.steps[axis] *= step;
    }
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

QL_OPERATOR(slice, "Slice")

} // namespace ql::graph
