// SPDX-License-Identifier: GPL-3.0-or-later
// The positions [1, tokens] of the tokens of x[batch, tokens, …]: offset, offset + 1, …, continuing behind the tokens a
// sequence state has seen. For tables of learned positions; OPT's begin at 2, RoBERTa's behind its padding id.
#include "core/model/graph/operator.h"

#include <numeric>

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Shape& shape = call.inputs[0]->shape();
    if (shape.size() < 2)
        return nodeError(call.node, "counts the tokens of [batch, tokens, …], not of " + formatShape(shape));
    std::int64_t* out = call.makeIntegers(0, {1, shape[1]});
    std::iota(out, out + shape[1], call.node.integer("offset", 0) + (call.state ? call.state->position : 0));
    return {};
}

} // namespace

QL_OPERATOR_WITHOUT_GRADIENT(positions, "Positions", .kinds = "e")

} // namespace ql::graph
