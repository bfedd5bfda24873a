// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/run_cost.h"

#include <algorithm>
#include <chrono>

namespace ql {

namespace {

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

std::int64_t activationFloats(const Model& model, const graph::Graph& graph, const graph::Segment& segment,
                              std::int64_t tokens)
{
    std::int64_t widths = 0;
    for (std::size_t n = segment.begin; n < segment.end; ++n) {
        const graph::Node& node = graph.nodes[n];
        if (node.op->id != "linear")
            continue;
        if (const std::int64_t layer = graph.layerOf(node); layer >= 0)
            for (const std::int64_t size : model.layers[static_cast<std::size_t>(layer)].shape)
                widths += size;
    }
    return 2 * tokens * widths;
}

Result<RunSpeed> measureSpeed(const Model& model, const graph::Graph& graph, const Cases& cases,
                              const JobContext& context)
{
    QL_TRY(batch, cases.batch(0, 1, context));
    const bool isLengthKnown = cases.tokens > 0;
    RunSpeed speed{.secondsPerMultiplyAdd = 0, .tokens = std::max<std::int64_t>(1, cases.tokens)};
    graph::ForwardOptions<float> options;
    if (!isLengthKnown)
        options.layerInput = [&](const graph::Node&, std::int64_t layer, graph::Array<float>& x) -> Result<void> {
            if (model.layers[static_cast<std::size_t>(layer)].shape.size() == 2) // else a convolution's
                speed.tokens = std::max(speed.tokens, x.rows());
            return {};
        };
    const graph::CheckpointWeights source(model);
    std::chrono::duration<double> elapsed{0};
    double work = 0; // per token
    for (const graph::Segment& segment : graph.segments) {
        const double its = multiplyAddsPerToken(model, graph, segment);
        const auto start = std::chrono::steady_clock::now();
        QL_TRY(weights, graph::loadWeights<float>(graph, segment, source, context));
        QL_CHECK(graph::forward(graph, segment, weights, batch.inputs, context, options));
        if (its > 0)
            elapsed += std::chrono::steady_clock::now() - start;
        work += its;
        if (work > 0 && isLengthKnown)
            break;
    }
    if (work > 0)
        speed.secondsPerMultiplyAdd = elapsed.count() / (work * static_cast<double>(speed.tokens));
    return speed;
}

} // namespace ql
