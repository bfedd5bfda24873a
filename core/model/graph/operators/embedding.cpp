// SPDX-License-Identifier: GPL-3.0-or-later
// Rows of a table: ids [batch, tokens] and W[vocab, width] give [batch, tokens, width]. `scale` multiplies (Gemma).
#include "core/model/graph/operator.h"
#include "core/model/graph/row_kernels.h"

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Array<std::int64_t>& ids = call.integers(0);
    const Value<T>& table = *call.inputs[1];
    if (table.shape().size() != 2)
        return nodeError(call.node, "the table has shape " + formatShape(table.shape()) + ", not [vocabulary, width]");
    const std::int64_t rows = table.shape()[0];
    const std::int64_t width = table.shape()[1];
    const auto scale = static_cast<T>(call.node.number("scale", 1));
    Shape shape = ids.shape();
    shape.push_back(width);
    T* out = call.make(0, std::move(shape));
    return parallelFor(call.context, ids.numel(), rowGrain(width), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            const std::int64_t id = ids.data()[i];
            if (id < 0 || id >= rows)
                return Result<void>(nodeError(call.node, "there is no row " + std::to_string(id) + " in a table of " +
                                                             std::to_string(rows)));
            T* to = out + i * width;
            if (!table.real)
                decode(table.stored.view.dtype, table.stored.view.data, id * width, width, to);
            scaleRow(table.real ? table.real.data() + id * width : to, width, scale, T{0}, to);
        }
        return Result<void>();
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(1))
        return {};
    const Array<std::int64_t>& ids = call.integers(0);
    const std::int64_t width = call.real(1).width();
    const auto scale = static_cast<T>(call.node.number("scale", 1));
    T* table = call.makeZeros(1);
    const T* from = call.outputGradients[0].data();
    // Tokens in order, columns in parallel: equal ids add up the same way for any thread count.
    return parallelFor(call.context, width, 64, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = 0; i < ids.numel(); ++i)
            for (std::int64_t c = begin; c < end; ++c)
                table[ids.data()[i] * width + c] += from[i * width + c] * scale;
    });
}

} // namespace

QL_OPERATOR(
    embedding, "Embedding", .required = 2, .kinds = "ir", .weights = 1, .takesStored = [](const Node&) { return true; })

} // namespace ql::graph
