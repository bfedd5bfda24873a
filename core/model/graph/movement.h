// SPDX-License-Identifier: GPL-3.0-or-later
// Operators that only move elements: out[index] = in[first + Σ index_d · step_d], real numbers or integers. The
// gradient goes the same way back.
#pragma once

#include "core/model/graph/indexing.h"

namespace ql::graph {

struct Movement {
    Shape shape; // of the output
    Steps steps; // in the input
    std::int64_t first = 0;
};

template<typename T>
Result<void> forwardMovement(Call<T>& call, const Movement& movement)
{
    return forEitherKind(call, 0, [&](auto kind) {
        const auto* from = (call.inputs[0]->*kind).data() + movement.first;
        auto* out = call.make(kind, 0, movement.shape);
        const RowCount count(movement.shape);
        const std::int64_t step = lastOf(movement.steps);
        return parallelFor(call.context, count.rows, rowGrain(count.n), [&](std::int64_t begin, std::int64_t end) {
            forRows<1>(movement.shape, {&movement.steps}, begin, end,
                       [&](std::int64_t i, const auto& at, std::int64_t n) {
                           for (std::int64_t c = 0; c < n; ++c)
                               out[i + c] = from[at[0] + c * step];
                       });
        });
    });
}

template<typename T>
Result<void> gradientMovement(GradientCall<T>& call, const Movement& movement)
{
    if (!call.wants(0))
        return {};
    const T* dy = call.outputGradients[0].data();
    T* dx = call.makeZeros(0);
    const RowCount count(movement.shape);
    const std::int64_t step = lastOf(movement.steps);
    const auto rows = [&](std::int64_t begin, std::int64_t end) {
        forRows<1>(movement.shape, {&movement.steps}, begin, end, [&](std::int64_t i, const auto& at, std::int64_t n) {
            T* to = dx + movement.first + at[0];
            for (std::int64_t c = 0; c < n; ++c)
                to[c * step] += dy[i + c];
        });
    };
    if (std::ranges::find(movement.steps, 0) != movement.steps.end()) { // sums run over the rows, in order
        rows(0, count.rows);
        return call.context.checkStop();
    }
    return parallelFor(call.context, count.rows, rowGrain(count.n), rows);
}

} // namespace ql::graph
