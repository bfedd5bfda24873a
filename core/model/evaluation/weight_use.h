// SPDX-License-Identifier: GPL-3.0-or-later
// What one node adds to the gradient dW of a layer's weights in one window, kept as factors: dW is made tile by tile
// when it is needed, so that squares can be taken of it without ever holding it.
#pragma once

#include "core/model/graph/operator.h"

#include <functional>
#include <optional>

namespace ql {

/// In the layer's matrix W[out, in·…]: dW = leftᵀ·right (linear), or right[t] is added to row ids[t] of dW (table), or
/// right is dW itself (any other operator).
template<typename T>
struct WeightUse {
    std::int64_t firstRow = 0; // of dW in the layer: an expert's rows in a stack
    graph::Array<T> left;
    graph::Array<std::int64_t> ids;
    graph::Array<T> right;
    graph::Array<T> input, outputGradient;  // of a linear node: [tokens, in] and [tokens, out]
    graph::Array<T> output = {}, bias = {}; // where a sink asks: [tokens, out], and what was added, of all the layer

    static bool isFactored(const graph::Operator& op) { return op.id == "linear" || op.id == "embedding"; }
    /// By what went into the node and the gradient of what came out; nothing for other operators.
    static std::optional<WeightUse> factored(const graph::Node& node, const graph::Value<T>& input,
                                             const graph::Array<T>& gradient);
};

/// A part of dW: data[r·columns + c] belongs to row `row + r` and column `column + c` of the layer's matrix.
template<typename T>
struct GradientTile {
    std::int64_t row = 0, rows = 0;
    std::int64_t column = 0, columns = 0;
    const T* data = nullptr;
};

/// Calls take(tile) for parts of the sum of dW over the uses, from several threads for distinct parts; where no part
/// is, dW is zero. Uses of different kinds are summed each by itself and follow one another. A part depends on the
/// shapes only, has at most 256 rows and 512 columns unless it is a row of a table, and holds equal bits for any thread
/// count.
template<typename T>
Result<void> forEachTile(std::span<const WeightUse<T>> uses, const std::function<void(const GradientTile<T>&)>& take,
                         const JobContext& context);

/// Σ over the tiles of the `count` numbers that take(tile, numbers) adds to, in an order that does not depend on
/// threads.
template<typename T>
Result<std::vector<double>> sumOverTiles(std::span<const WeightUse<T>> uses, std::size_t count,
                                         const std::function<void(const GradientTile<T>&, std::span<double>)>& take,
                                         const JobContext& context);

} // namespace ql
