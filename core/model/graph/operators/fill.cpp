// SPDX-License-Identifier: GPL-3.0-or-later
// An array of the shape that integers (input 0) name, full of `value`: integers or, if that is a double, real numbers.
#include "core/model/graph/indexing.h"

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Array<std::int64_t>& sizes = call.integers(0);
    Shape shape(sizes.data(), sizes.data() + sizes.numel());
    const auto count = checkedNumel(shape);
    if (!isAddressable(shape))
        return nodeError(call.node, "cannot make an array of shape " + formatShape(shape));
    const auto fill = [&](auto* to, auto value) {
        return parallelFor(call.context, *count, kElementGrain,
                           [&](std::int64_t begin, std::int64_t end) { std::fill(to + begin, to + end, value); });
    };
    const auto value = call.node.attributes.find("value");
    if (value != call.node.attributes.end() && std::holds_alternative<std::int64_t>(value->second))
        return fill(call.makeIntegers(0, std::move(shape)), std::get<std::int64_t>(value->second));
    return fill(call.make(0, std::move(shape)), static_cast<T>(call.node.number("value", 0)));
}

} // namespace

QL_OPERATOR_WITHOUT_GRADIENT(fill, "Constant array", .kinds = "i")

} // namespace ql::graph
