// SPDX-License-Identifier: GPL-3.0-or-later
// Repeats along dimensions of size 1, and new ones in front, up to the joint shape with `shape` (or integer input 1).
#include "core/model/graph/movement.h"

namespace ql::graph {

namespace {

template<typename C>
Result<Movement> movementOf(const C& call)
{
    const Shape& from = call.inputs[0]->shape();
    const auto wanted = integersOf(call, "shape", 1);
    const auto joint = wanted && checkedNumel(*wanted) ? broadcastShape(from, *wanted) : std::nullopt;
    if (!joint || !isAddressable(*joint))
        return nodeError(call.node, "cannot expand " + formatShape(from) +
                                        (wanted ? " to " + formatShape(*wanted) : std::string(" to no shape at all")));
    return Movement{*joint, broadcastSteps(from, *joint)};
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

QL_OPERATOR(expand, "Expand", .kinds = "ei")

} // namespace ql::graph
