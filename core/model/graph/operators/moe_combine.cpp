// SPDX-License-Identifier: GPL-3.0-or-later
// The outputs of the experts, weighted and back in place: weights[…, experts] (of moe_route) and for each expert what
// it made of its rows, [tokens, width], give y[…, width] = Σ over experts weight·output, in the order of experts.
#include "core/model/graph/moe.h"
#include "core/model/graph/vector_math.h"

namespace ql::graph {

namespace {

/// Calls visit(expert, i, row): output i of the expert belongs to that row of the weights.
template<typename C, typename Visit>
Result<void> forOutputs(const C& call, const Visit& visit)
{
    const auto& weights = call.real(0);
    for (std::int64_t expert = 0; expert < weights.width(); ++expert) {
        QL_TRY(rows, rowsOfExpert(call.node, weights, expert));
        const auto& output = call.real(static_cast<std::size_t>(expert) + 1);
        if (output.shape() != Shape{std::ssize(rows), call.real(1).width()})
            return nodeError(call.node, "expert " + std::to_string(expert) + " made " + formatShape(output.shape()) +
                                            " of " + std::to_string(rows.size()) + " tokens");
        for (std::size_t i = 0; i < rows.size(); ++i)
            visit(static_cast<std::size_t>(expert), static_cast<std::int64_t>(i), rows[i]);
    }
    return call.context.checkStop();
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Array<T>& weights = call.real(0);
    if (std::ssize(call.inputs) != weights.width() + 1)
        return nodeError(call.node, "combines " + std::to_string(call.inputs.size() - 1) + " experts by weights " +
                                        formatShape(weights.shape()));
    const std::int64_t width = call.real(1).width();
    Shape shape = weights.shape();
    shape.back() = width;
    T* y = call.make(0, std::move(shape));
    std::fill_n(y, weights.rows() * width, T{0});
    return forOutputs(call, [&](std::size_t expert, std::int64_t i, std::int64_t row) {
        const T weight = weights.data()[row * weights.width() + static_cast<std::int64_t>(expert)];
        const T* from = call.real(expert + 1).data() + i * width;
        for (std::int64_t c = 0; c < width; ++c)
            y[row * width + c] += weight * from[c];
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    const Array<T>& weights = call.real(0);
    const std::int64_t width = call.real(1).width();
    const T* dy = call.outputGradients[0].data();
    std::vector<T*> to(call.inputs.size());
    for (std::size_t i = 0; i < to.size(); ++i)
        to[i] = call.makeZeros(i);
    return forOutputs(call, [&](std::size_t expert, std::int64_t i, std::int64_t row) {
        const std::int64_t at = row * weights.width() + static_cast<std::int64_t>(expert);
        const T* from = dy + row * width;
        if (to[0])
            to[0][at] = static_cast<T>(dot(from, call.real(expert + 1).data() + i * width, width));
        for (std::int64_t c = 0; c < width && to[expert + 1]; ++c)
            to[expert + 1][i * width + c] = weights.data()[at] * from[c];
    });
}

} // namespace

QL_OPERATOR(moe_combine, "Expert sum", .required = 2)

} // namespace ql::graph
