// SPDX-License-Identifier: GPL-3.0-or-later
// Index arithmetic the operators share: axes, steps of row-major arrays, and NumPy's broadcasting, in which dimensions
// are aligned at the end and one of size 1 repeats.
#pragma once

#include "core/model/graph/operator.h"

#include <array>

namespace ql::graph {

/// Sizes, widths and lengths that a file may ask for stay below.
constexpr std::int64_t kLimit = std::int64_t{1} << 31;

/// Dimensions of an array.
constexpr std::size_t kMaxRank = 64;

/// Whether there are such arrays: sizes of at least 0 and steps that are numbers, also where a dimension is 0.
inline bool isAddressable(const Shape& shape)
{
    std::int64_t steps = 8; // bytes of an element
    for (const std::int64_t dimension : shape) {
        const auto product = mulChecked(steps, std::max<std::int64_t>(1, dimension));
        if (!product || dimension < 0)
            return false;
        steps = *product;
    }
    return shape.size() <= kMaxRank;
}

/// The axis, which may count from the end; an error that names the node if there is none.
inline Result<std::size_t> axisOf(const Node& node, const Shape& shape, std::int64_t axis)
{
    const auto rank = std::ssize(shape);
    if (axis < -rank || axis >= rank)
        return nodeError(node, "there is no axis " + std::to_string(axis) + " in " + formatShape(shape));
    return static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
}

/// An array seen as [outer, size, inner] around one axis.
struct AroundAxis {
    std::int64_t outer = 1, size = 1, inner = 1;
    AroundAxis(const Shape& shape, std::size_t axis) : size(shape[axis])
    {
        for (std::size_t d = 0; d < shape.size(); ++d)
            if (d != axis)
                (d < axis ? outer : inner) *= shape[d];
    }
};

/// Small integers that a node has as an attribute or gets as an input; nothing if neither.
template<typename C>
std::optional<std::vector<std::int64_t>> integersOf(const C& call, std::string_view attribute, std::size_t input)
{
    if (const auto* values = call.node.integers(attribute))
        return *values;
    if (!call.has(input) || !call.integers(input))
        return std::nullopt;
    const Array<std::int64_t>& values = call.integers(input);
    return std::vector<std::int64_t>(values.data(), values.data() + values.numel());
}

/// What one step along each dimension is in elements.
using Steps = std::vector<std::int64_t>;
inline Steps stepsOf(const Shape& shape)
{
    Steps steps(shape.size(), 1);
    for (std::size_t d = shape.size(); d-- > 1;)
        steps[d - 1] = steps[d] * shape[d];
    return steps;
}

/// Nothing if the shapes do not agree.
inline std::optional<Shape> broadcastShape(const Shape& a, const Shape& b)
{
    Shape joint(std::max(a.size(), b.size()), 1);
    for (std::size_t i = 1; i <= joint.size(); ++i) {
        const std::int64_t da = i <= a.size() ? a[a.size() - i] : 1;
        const std::int64_t db = i <= b.size() ? b[b.size() - i] : 1;
        if (da != db && da != 1 && db != 1)
            return std::nullopt;
        joint[joint.size() - i] = da == 1 ? db : da;
    }
    return joint;
}

/// The steps of an array along the dimensions of the joint shape; 0 where it repeats.
inline Steps broadcastSteps(const Shape& shape, const Shape& joint)
{
    const Steps own = stepsOf(shape);
    Steps steps(joint.size(), 0);
    for (std::size_t i = 1; i <= shape.size(); ++i)
        if (shape[shape.size() - i] != 1)
            steps[joint.size() - i] = own[shape.size() - i];
    return steps;
}

/// Rows of n elements along the last dimension.
struct RowCount {
    std::int64_t n = 1, rows = 1;
    explicit RowCount(const Shape& shape) : n(shape.empty() ? 1 : shape.back()), rows(n > 0 ? numel(shape) / n : 0) {}
};

/// Calls visit(i, offsets, n) for rows [begin, end) of that shape: i is the row's first element, offsets where it
/// begins in each of N arrays with these steps.
template<std::size_t N, typename Visit>
void forRows(const Shape& shape, const std::array<const Steps*, N>& steps, std::int64_t begin, std::int64_t end,
             const Visit& visit)
{
    const std::int64_t n = RowCount(shape).n;
    for (std::int64_t row = begin; row < end; ++row) {
        std::array<std::int64_t, N> offsets{};
        std::int64_t rest = row;
        for (std::size_t d = shape.empty() ? 0 : shape.size() - 1; d-- > 0;) {
            for (std::size_t a = 0; a < N; ++a)
                offsets[a] += rest % shape[d] * (*steps[a])[d];
            rest /= shape[d];
        }
        visit(row * n, offsets, n);
    }
}
inline std::int64_t lastOf(const Steps& steps)
{
    return steps.empty() ? 0 : steps.back();
}

} // namespace ql::graph
