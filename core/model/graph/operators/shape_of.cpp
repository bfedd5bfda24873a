// SPDX-License-Identifier: GPL-3.0-or-later
// The dimensions of x as integers: those from `start` to before `end`, which may count from the end.
#include "core/model/graph/operator.h"

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Shape& shape = call.inputs[0]->shape();
    const auto rank = std::ssize(shape);
    const auto place = [rank](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank); };
    const std::int64_t start = place(call.node.integer("start", 0));
    const std::int64_t end = std::max(start, place(call.node.integer("end", rank)));
    std::copy(shape.begin() + start, shape.begin() + end, call.makeIntegers(0, {end - start}));
    return {};
}

} // namespace

QL_OPERATOR_WITHOUT_GRADIENT(shape_of, "Shape", .kinds = "e")

} // namespace ql::graph
