// SPDX-License-Identifier: GPL-3.0-or-later
// y = (x − mean) / √(variance + epsilon) · weight + bias over the last dimension; weight and bias may be left out.
// Source: Ba, Kiros and Hinton 2016.
#include "core/model/graph/operator.h"
#include "core/model/graph/row_kernels.h"
#include "core/model/graph/vector_math.h"

#include <cmath>

namespace ql::graph {

namespace {

struct Centre {
    double mean = 0;
    double factor = 0; // 1 / √(variance + epsilon)
    template<typename T>
    Centre(const T* row, std::int64_t n, double epsilon)
    {
        const Moments moments = momentsOf(row, n);
        mean = moments.mean;
        factor = 1 / std::sqrt(moments.variance + epsilon);
    }
    template<typename T>
    Normalization<T> normalization() const
    {
        const auto rounded = static_cast<T>(mean);
        return {.mean = rounded,
                .meanRest = static_cast<T>(mean - static_cast<double>(rounded)),
                .factor = static_cast<T>(factor)};
    }
};

template<typename C>
Result<void> checkWidths(const C& call)
{
    for (const std::size_t i : {1U, 2U})
        if (call.has(i) && call.real(i).numel() != call.real(0).width())
            return nodeError(call.node, "inputs of width " + std::to_string(call.real(0).width()) + " meet weights " +
                                            formatShape(call.real(i).shape()));
    return {};
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_CHECK(checkWidths(call));
    const Array<T>& x = call.real(0);
    const std::int64_t n = x.width();
    const double epsilon = call.node.number("epsilon", 1e-5);
    const T* weight = call.has(1) ? call.real(1).data() : nullptr;
    const T* bias = call.has(2) ? call.real(2).data() : nullptr;
    T* y = call.make(0, x.shape());
    return parallelFor(call.context, x.rows(), rowGrain(n), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
            const T* from = x.data() + r * n;
            const Centre centre(from, n, epsilon);
            auto normalization = centre.normalization<T>();
            normalization.weight = weight;
            normalization.bias = bias;
            normalizeRow(from, n, normalization, y + r * n);
        }
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    const Array<T>& x = call.real(0);
    const std::int64_t n = x.width();
    const double epsilon = call.node.number("epsilon", 1e-5);
    const T* weight = call.has(1) ? call.real(1).data() : nullptr;
    const T* dy = call.outputGradients[0].data();
    if (call.wants(0)) {
        T* dx = call.make(0);
        QL_CHECK(parallelFor(call.context, x.rows(), rowGrain(n), [&](std::int64_t begin, std::int64_t end) {
            std::vector<T> g(static_cast<std::size_t>(n));
            std::vector<T> z(static_cast<std::size_t>(n));
            for (std::int64_t r = begin; r < end; ++r) {
                // g = dy·w, z = (x − mean)·f; dx = f·(g − mean(g) − z·mean(g·z))
                const T* from = x.data() + r * n;
                const Centre centre(from, n, epsilon);
                normalizeRow(dy + r * n, n, {.weight = weight}, g.data());
                normalizeRow(from, n, centre.normalization<T>(), z.data());
                const double inner = dot(g.data(), z.data(), n) / static_cast<double>(n);
                mixRows(g.data(), static_cast<T>(centre.factor), z.data(), static_cast<T>(-centre.factor * inner),
                        static_cast<T>(-centre.factor * momentsOf(g.data(), n).mean), n, dx + r * n);
            }
        }));
    }
    if (call.wants(1) || call.wants(2)) {
        std::vector<double> dw(static_cast<std::size_t>(n), 0.0);
        std::vector<double> db(static_cast<std::size_t>(n), 0.0);
        for (std::int64_t r = 0; r < x.rows(); ++r) {
            const Centre centre(x.data() + r * n, n, epsilon);
            for (std::int64_t c = 0; c < n; ++c) {
                const auto d = static_cast<double>(dy[r * n + c]);
                dw[static_cast<std::size_t>(c)] +=
                    d * (static_cast<double>(x.data()[r * n + c]) - centre.mean) * centre.factor;
                db[static_cast<std::size_t>(c)] += d;
            }
        }
        const auto store = [&](std::size_t input, const std::vector<double>& sums) {
            if (call.wants(input))
                std::transform(sums.begin(), sums.end(), call.make(input),
                               [](double sum) { return static_cast<T>(sum); });
        };
        store(1, dw);
        store(2, db);
    }
    return {};
}

} // namespace

QL_OPERATOR(layer_norm, "LayerNorm")

} // namespace ql::graph
