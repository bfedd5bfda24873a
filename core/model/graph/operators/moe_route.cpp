// SPDX-License-Identifier: GPL-3.0-or-later
// The router of a mixture of experts: from logits[…, experts] the weights[…, experts] with which each token's top_k
// experts count; 0 for the others. p = softmax(logits) over all experts; `normalize` = 1 (Mixtral, Qwen3-MoE) makes the
// chosen ones sum to 1, 0 (Qwen2-MoE) leaves them. Of equals the lower index is chosen. What follows: moe_dispatch per
// expert, its linear nodes on those rows alone (so hooks see exactly the tokens an expert gets), moe_combine.
// Source: Jiang et al. 2024 (Mixtral); transformers, models/{mixtral,qwen2_moe,qwen3_moe}.
#include "core/model/graph/operator.h"
#include "core/model/graph/vector_math.h"

#include <numeric>

namespace ql::graph {

namespace {

/// Softmax of a row with all but the top_k chosen left at 0; their sum in p.
template<typename T>
void route(const T* logits, std::int64_t experts, std::int64_t topK, bool normalize, T* weights)
{
    std::vector<std::int64_t> order(static_cast<std::size_t>(experts));
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, [&](std::int64_t a, std::int64_t b) { return logits[a] > logits[b]; });
    std::copy_n(logits, experts, weights);
    softmax(weights, experts);
    double sum = 0;
    for (std::int64_t i = 0; i < experts; ++i) {
        T& weight = weights[order[static_cast<std::size_t>(i)]];
        if (i < topK)
            sum += static_cast<double>(weight);
        else
            weight = 0;
    }
    for (std::int64_t i = 0; i < experts && normalize; ++i)
        weights[i] = static_cast<T>(static_cast<double>(weights[i]) / sum);
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    const Array<T>& logits = call.real(0);
    const std::int64_t topK = call.node.integer("top_k", 0);
    if (logits.shape().empty() || topK < 1 || topK > logits.width())
        return nodeError(call.node,
                         "cannot choose " + std::to_string(topK) + " experts by " + formatShape(logits.shape()));
    const bool normalize = call.node.integer("normalize", 1) != 0;
    T* weights = call.make(0, logits.shape());
    return parallelFor(call.context, logits.rows(), rowGrain(16 * logits.width()),
                       [&](std::int64_t begin, std::int64_t end) {
                           for (std::int64_t r = begin * logits.width(); r < end * logits.width(); r += logits.width())
                               route(logits.data() + r, logits.width(), topK, normalize, weights + r);
                       });
}

/// With g = dw: normalized dz = w·(g − Σ g·w), which is 0 for experts not chosen; else dz = p·(g − Σ g·w) with g = 0
/// for experts not chosen.
template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    const Array<T>& logits = call.real(0);
    const bool normalize = call.node.integer("normalize", 1) != 0;
    const std::int64_t n = logits.width();
    T* dz = call.make(0);
    for (std::int64_t r = 0; r < logits.rows(); ++r) {
        const T* w = call.output(0).data() + r * n;
        const T* g = call.outputGradients[0].data() + r * n;
        std::vector<T> p(w, w + n);
        if (!normalize) {
            std::copy_n(logits.data() + r * n, n, p.data());
            softmax(p.data(), n);
        }
        const auto inner = static_cast<T>(dot(g, w, n));
        for (std::int64_t e = 0; e < n; ++e)
            dz[r * n + e] = p[static_cast<std::size_t>(e)] * ((w[e] != 0 ? g[e] : T{0}) - inner);
    }
    return call.context.checkStop();
}

} // namespace

QL_OPERATOR(moe_route, "Expert router")

} // namespace ql::graph
