// SPDX-License-Identifier: GPL-3.0-or-later
// The same elements, real numbers or integers, under another shape, said in one of four ways: `shape` (or integer input
// 1), where 0 copies the dimension at its place (unless `keep_zeros` is 1) and −1 takes the rest; `flatten` = a: [all
// before axis a, the rest]; `squeeze` = axes of size 1 to drop (none named: all of them); `unsqueeze` = axes of the
// result to be of size 1. The axes of the last two are integer input 1 if there is one.
#include "core/model/graph/indexing.h"

namespace ql::graph {

namespace {

template<typename C>
std::optional<Shape> flattened(const C& call, const Shape& shape)
{
    std::int64_t axis = call.node.integer("flatten", 0);
    const auto rank = std::ssize(shape);
    if (axis < 0)
        axis += rank;
    if (axis < 0 || axis > rank)
        return std::nullopt;
    const auto middle = shape.begin() + axis;
    return Shape{numel(Shape(shape.begin(), middle)), numel(Shape(middle, shape.end()))};
}

std::optional<Shape> squeezed(const Shape& shape, std::vector<std::int64_t> axes)
{
    const auto rank = std::ssize(shape);
    for (std::int64_t& axis : axes) {
        if (axis < 0)
            axis += rank;
        if (axis < 0 || axis >= rank || shape[static_cast<std::size_t>(axis)] != 1)
            return std::nullopt;
    }
    Shape result;
    for (std::int64_t d = 0; d < rank; ++d) {
        const std::int64_t size = shape[static_cast<std::size_t>(d)];
        if (axes.empty() ? size != 1 : std::ranges::find(axes, d) == axes.end())
            result.push_back(size);
    }
    return result;
}

std::optional<Shape> unsqueezed(Shape shape, std::vector<std::int64_t> axes)
{
    const auto rank = std::ssize(shape) + std::ssize(axes);
    if (axes.size() > kMaxRank)
        return std::nullopt;
    for (std::int64_t& axis : axes)
        if (axis < 0)
            axis += rank;
    std::ranges::sort(axes);
    for (const std::int64_t axis : axes) {
        if (axis < 0 || axis > std::ssize(shape))
            return std::nullopt;
        shape.insert(shape.begin() + axis, 1);
    }
    return shape;
}

/// 0 and −1 filled in.
std::optional<Shape> completed(const Shape& from, Shape shape, bool keepZeros)
{
    std::int64_t known = 1;
    std::optional<std::size_t> open;
    for (std::size_t d = 0; d < shape.size(); ++d) {
        if (shape[d] == 0 && d < from.size() && !keepZeros)
            shape[d] = from[d];
        if (shape[d] == -1 && !open)
            open = d;
        else if (shape[d] < 0)
            return std::nullopt;
        else if (const auto product = mulChecked(known, shape[d]))
            known = *product;
        else
            return std::nullopt;
    }
    if (open)
        shape[*open] = known > 0 ? numel(from) / known : 0;
    return shape;
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Node& node = call.node;
    const Shape& from = call.inputs[0]->shape();
    std::optional<Shape> shape;
    if (const auto* axes = node.integers("squeeze"))
        shape = squeezed(from, integersOf(call, "", 1).value_or(*axes));
    else if (const auto* added = node.integers("unsqueeze"))
        shape = unsqueezed(from, integersOf(call, "", 1).value_or(*added));
    else if (node.attributes.contains("flatten"))
        shape = flattened(call, from);
    else if (auto given = integersOf(call, "shape", 1))
        shape = completed(from, std::move(*given), node.integer("keep_zeros", 0) != 0);
    if (!shape || checkedNumel(*shape) != numel(from))
        return nodeError(node, "cannot give " + formatShape(from) + " the shape it asks for" +
                                   (shape ? ", " + formatShape(*shape) : std::string()));
    return forEitherKind(call, 0, [&](auto kind) {
        call.outputs[0].*kind = (call.inputs[0]->*kind).reshaped(*shape);
        return Result<void>();
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (call.wants(0))
        call.inputGradients[0] = call.outputGradients[0].reshaped(call.real(0).shape());
    return {};
}

} // namespace

QL_OPERATOR(reshape, "Reshape", .kinds = "ei")

} // namespace ql::graph
