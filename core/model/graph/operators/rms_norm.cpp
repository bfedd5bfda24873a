// SPDX-License-Identifier: GPL-3.0-or-later
// y = x / √(mean(x²) + epsilon) · (offset + weight) over the last dimension, or over each of its parts of `size`
// (norms of single heads). `offset` is 1 where checkpoints store weight − 1 (Gemma). Source: Zhang and Sennrich 2019.
#include "core/model/graph/operator.h"
#include "core/model/graph/row_kernels.h"
#include "core/model/graph/vector_math.h"

#include <cmath>

namespace ql::graph {

namespace {

template<typename C>
Result<std::int64_t> partSize(const C& call)
{
    const std::int64_t width = call.real(0).width();
    const std::int64_t size = call.node.integer("size", width);
    if (size < 1 || width % size != 0 || (call.has(1) && call.real(1).numel() != size))
        return nodeError(call.node, "does not divide a width of " + std::to_string(width) + " into parts of " +
                                        std::to_string(size) + " with as many weights");
    return size;
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Array<T>& x = call.real(0);
    QL_TRY(size, partSize(call));
    const double epsilon = call.node.number("epsilon", 1e-6);
    const auto offset = static_cast<T>(call.node.number("offset", 0));
    const T* weight = call.has(1) ? call.real(1).data() : nullptr;
    T* y = call.make(0, x.shape());
    return parallelFor(call.context, x.numel() / size, rowGrain(size), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
            const T* from = x.data() + r * size;
            const double meanSquare = dot(from, from, size) / static_cast<double>(size);
            const auto factor = static_cast<T>(1 / std::sqrt(meanSquare + epsilon));
            normalizeRow(from, size, {.factor = factor, .weight = weight, .offset = offset}, y + r * size);
        }
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    const Array<T>& x = call.real(0);
    QL_TRY(size, partSize(call));
    const double epsilon = call.node.number("epsilon", 1e-6);
    const double offset = call.node.number("offset", 0);
    const T* weight = call.has(1) ? call.real(1).data() : nullptr;
    const T* dy = call.outputGradients[0].data();
    const std::int64_t rows = x.numel() / size;
    const auto factorOf = [&](const T* row) {
        return 1 / std::sqrt(dot(row, row, size) / static_cast<double>(size) + epsilon);
    };
    if (call.wants(0)) {
        T* dx = call.make(0);
        QL_CHECK(parallelFor(call.context, rows, rowGrain(size), [&](std::int64_t begin, std::int64_t end) {
            std::vector<T> g(static_cast<std::size_t>(size));
            for (std::int64_t r = begin; r < end; ++r) {
                // g = dy·w; dx = f·g − x·f³·mean(g·x)
                const T* from = x.data() + r * size;
                const double factor = factorOf(from);
                normalizeRow(dy + r * size, size, {.weight = weight, .offset = static_cast<T>(offset)}, g.data());
                const double inner = dot(g.data(), from, size) * factor * factor * factor / static_cast<double>(size);
                mixRows(g.data(), static_cast<T>(factor), from, static_cast<T>(-inner), T{0}, size, dx + r * size);
            }
        }));
    }
    if (call.wants(1)) {
        T* dw = call.make(1);
        std::vector<double> sum(static_cast<std::size_t>(size), 0.0);
        for (std::int64_t r = 0; r < rows; ++r) {
            const double factor = factorOf(x.data() + r * size);
            for (std::int64_t c = 0; c < size; ++c)
                sum[static_cast<std::size_t>(c)] +=
                    static_cast<double>(dy[r * size + c]) * factor * static_cast<double>(x.data()[r * size + c]);
        }
        std::transform(sum.begin(), sum.end(), dw, [](double s) { return static_cast<T>(s); });
    }
    return {};
}

} // namespace

QL_OPERATOR(rms_norm, "RMSNorm")

} // namespace ql::graph
