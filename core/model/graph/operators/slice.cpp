// SPDX-License-Identifier: GPL-3.0-or-later
// Elements starts[i], starts[i] + steps[i], … before ends[i] of axes[i]: four lists of integers, as attributes or
// inputs 1 to 4; negative ones count from the end, `axes` defaults to the first ones, `steps` to 1, as in ONNX and
// NumPy. Or, by `part`, one of the parts of `axis`: `parts` equal ones (the last may be shorter), or those whose sizes
// are integer input 1.
#include "core/model/graph/movement.h"

#include <numeric>
#include <set>

namespace ql::graph {

namespace {

/// The sizes of the parts of an axis; they add up to its size.
template<typename C>
Result<std::vector<std::int64_t>> partsOf(const C& call, std::int64_t size)
{
    std::vector<std::int64_t> sizes;
    if (const auto given = integersOf(call, "", 1)) {
        std::int64_t rest = size;
        for (const std::int64_t part : *given)
            rest = part < 0 || part > rest ? -1 : rest - part;
        if (rest != 0)
            return nodeError(call.node, "parts of " + formatShape(*given) + " are not all of " + std::to_string(size));
        return *given;
    }
    const std::int64_t parts = std::clamp<std::int64_t>(call.node.integer("parts", 1), 1, kLimit);
    const std::int64_t most = ceilDiv(size, parts);
    for (std::int64_t part = 0; part < std::min(parts, call.node.integer("part", 0) + 1); ++part)
        sizes.push_back(std::clamp<std::int64_t>(size - part * most, 0, most));
    return sizes;
}

template<typename C>
Result<Movement> movementOf(const C& call)
{
    const Shape& shape = call.inputs[0]->shape();
    Movement movement{shape, stepsOf(shape)};
    if (const std::int64_t part = call.node.integer("part", -1); part >= 0) {
        QL_TRY(axis, axisOf(call.node, shape, call.node.integer("axis", -1)));
        QL_TRY(sizes, partsOf(call, shape[axis]));
        if (part >= std::ssize(sizes))
            return nodeError(call.node,
                             "there is no part " + std::to_string(part) + " of " + std::to_string(sizes.size()));
        movement.first = std::accumulate(sizes.begin(), sizes.begin() + part, std::int64_t{0}) * movement.steps[axis];
        movement.shape[axis] = sizes[static_cast<std::size_t>(part)];
        return movement;
    }
    const auto starts = integersOf(call, "starts", 1);
    const auto ends = integersOf(call, "ends", 2);
    const auto axes = integersOf(call, "axes", 3);
    const auto steps = integersOf(call, "steps", 4);
    if (!starts || !ends || starts->size() != ends->size() || (axes && axes->size() != starts->size()) ||
        (steps && steps->size() != starts->size()))
        return nodeError(call.node, "needs as many ends, axes and steps as starts");
    std::set<std::size_t> cut;
    for (std::size_t i = 0; i < starts->size(); ++i) {
        QL_TRY(axis, axisOf(call.node, shape, axes ? (*axes)[i] : static_cast<std::int64_t>(i)));
        if (!cut.insert(axis).second)
            return nodeError(call.node, "names axis " + std::to_string(axis) + " twice");
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

QL_OPERATOR(slice, "Slice", .kinds = "ei")

} // namespace ql::graph
