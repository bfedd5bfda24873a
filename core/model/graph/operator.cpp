// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/graph/operator.h"

#include <algorithm>

namespace ql::graph {

namespace operators {
#define OPERATOR(id) extern const Operator id##_operator;
#include "core/model/graph/operators/operators.def"
#undef OPERATOR
} // namespace operators

std::span<const Operator* const> allOperators()
{
    static constexpr const Operator* kAll[] = {
#define OPERATOR(id) &operators::id##_operator,
#include "core/model/graph/operators/operators.def"
#undef OPERATOR
    };
    return kAll;
}

const Operator* findOperator(std::string_view id)
{
    const auto all = allOperators();
    const auto found = std::ranges::find(all, id, &Operator::id);
    return found == all.end() ? nullptr : *found;
}

Error nodeError(const Node& node, const std::string& what)
{
    return badInput(what, node.name + " (" + std::string(node.op->id) + ")");
}

} // namespace ql::graph
