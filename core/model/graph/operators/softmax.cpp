// SPDX-License-Identifier: GPL-3.0-or-later
// y = exp(x − max) / Σ along `axis` (default the last).
#include "core/model/graph/indexing.h"
#include "core/model/graph/vector_math.h"

namespace ql::graph {

namespace {

/// Calls visit(at) for each run along the axis; element i of it stands at at + i·inner.
template<typename Visit>
Result<void> forRuns(const AroundAxis& around, const JobContext& context, const Visit& visit)
{
    return parallelFor(context, around.outer * around.inner, rowGrain(around.size),
                       [&](std::int64_t begin, std::int64_t end) {
                           for (std::int64_t run = begin; run < end; ++run)
                               visit(run / around.inner * around.size * around.inner + run % around.inner);
                       });
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Array<T>& x = call.real(0);
    QL_TRY(axis, axisOf(call.node, x.shape(), call.node.integer("axis", -1)));
    const AroundAxis around(x.shape(), axis);
    T* y = call.make(0, x.shape());
    return forRuns(around, call.context, [&](std::int64_t at) {
        if (around.inner == 1) {
            std::copy_n(x.data() + at, around.size, y + at);
            return softmax(y + at, around.size);
        }
        std::vector<T> run(static_cast<std::size_t>(around.size));
        for (std::size_t i = 0; i < run.size(); ++i)
            run[i] = x.data()[at + static_cast<std::int64_t>(i) * around.inner];
        softmax(run.data(), around.size);
        for (std::size_t i = 0; i < run.size(); ++i)
            y[at + static_cast<std::int64_t>(i) * around.inner] = run[i];
    });
}

/// dx = y · (dy − Σ dy·y).
template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    QL_TRY(axis, axisOf(call.node, call.real(0).shape(), call.node.integer("axis", -1)));
    const AroundAxis around(call.real(0).shape(), axis);
    const T* y = call.output(0).data();
    const T* dy = call.outputGradients[0].data();
    T* dx = call.make(0);
    return forRuns(around, call.context, [&](std::int64_t at) {
        const std::int64_t end = at + around.size * around.inner;
        double inner = 0;
        for (std::int64_t i = at; i < end; i += around.inner)
            inner += static_cast<double>(dy[i]) * static_cast<double>(y[i]);
        for (std::int64_t i = at; i < end; i += around.inner)
            dx[i] = y[i] * (dy[i] - static_cast<T>(inner));
    });
}

} // namespace

QL_OPERATOR(softmax, "Softmax")

} // namespace ql::graph
