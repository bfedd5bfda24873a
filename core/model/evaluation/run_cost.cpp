// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/run_cost.h"

#include <chrono>

namespace ql {

namespace {

constexpr std::int64_t kProbeTokens = 512;

double multiplyAddsPerToken(const Model& model, const graph::Graph& graph, const graph::Segment& segment)
{
    std::int64_t sum = 0;
    for (std::size_t n = segment.begin; n < segment.end; ++n)
        if (const std::int64_t layer = graph.productLayerOf(graph.nodes[n]); layer >= 0)
            sum += model.layers[static_cast<std::size_t>(layer)].numel() / graph.nodes[n].integer("experts", 1);
    return static_cast<double>(sum);
}

} // namespace

double multiplyAddsPerToken(const Model& model, const graph::Graph& graph)
{
    double sum = 0;
    for (const graph::Segment& segment : graph.segments)
        sum += multiplyAddsPerToken(model, graph, segment);
    return sum;
}

Result<double> secondsPerMultiplyAdd(const Model& model, const graph::Graph& graph, const Windows& windows,
                                     const JobContext& context)
{
    const std::int64_t length = std::min(windows.length, kProbeTokens);
    graph::Array<std::int64_t> tokens({1, length});
    std::copy_n(windows.ids.begin(), length, tokens.write());
    graph::Values<float> values;
    values[graph.inputs.front()].integers = std::move(tokens);
    const graph::CheckpointWeights source(model);
    for (const graph::Segment& segment : graph.segments) {
        const double work = static_cast<double>(length) * multiplyAddsPerToken(model, graph, segment);
        const auto start = std::chrono::steady_clock::now();
        QL_TRY(weights, graph::loadWeights<float>(graph, segment, source, context));
        QL_CHECK(graph::forward(graph, segment, weights, values, context));
        if (work > 0)
            return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / work;
    }
    return 0.0;
}

} // namespace ql
