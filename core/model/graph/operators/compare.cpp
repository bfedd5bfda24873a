// SPDX-License-Identifier: GPL-3.0-or-later
// Integers 1 where a stands in `relation` to b ("equal", "less", "less_or_equal", "greater", "greater_or_equal") and 0
// elsewhere, with NumPy's broadcasting.
#include "core/model/graph/broadcast.h"

#include <functional>

namespace ql::graph {

namespace {

template<typename T, typename Relation>
Result<void> compared(Call<T>& call, const Relation& relation)
{
    QL_TRY(joint, Broadcast::of(call));
    std::int64_t* out = call.makeIntegers(0, joint.shape);
    return forEitherKind(call, 0, [&](auto kind) {
        const auto* a = (call.inputs[0]->*kind).data();
        const auto* b = (call.inputs[1]->*kind).data();
        joint.forRows(0, joint.count().rows, [&](std::int64_t i, std::int64_t ai, std::int64_t bi, std::int64_t n) {
            applyRow(relation, a + ai, lastOf(joint.aStep), b + bi, lastOf(joint.bStep), n, out + i);
        });
        return call.context.checkStop();
    });
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    const std::string_view relation = call.node.text("relation", "equal");
    if (relation == "equal")
        return compared(call, std::equal_to<>());
    if (relation == "less")
        return compared(call, std::less<>());
    if (relation == "less_or_equal")
        return compared(call, std::less_equal<>());
    if (relation == "greater")
        return compared(call, std::greater<>());
    if (relation == "greater_or_equal")
        return compared(call, std::greater_equal<>());
    return nodeError(call.node, "there is no relation '" + std::string(relation) + "'");
}

} // namespace

QL_OPERATOR_WITHOUT_GRADIENT(compare, "Compare", .required = 2, .kinds = "e")

} // namespace ql::graph
