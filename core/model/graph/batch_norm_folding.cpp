// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/graph/batch_norm_folding.h"

#include "core/model/graph/operator.h"

#include <cmath>

namespace ql::graph {

FoldedLayer fold(const BatchNorm& norm, const Array<double>& weights, const std::vector<double>& bias)
{
    const std::size_t channels = norm.weight.size();
    assert(weights.shape().front() == std::ssize(norm.weight) && (bias.empty() || bias.size() == channels));
    FoldedLayer folded{weights, bias};
    folded.bias.resize(channels, 0.0);
    double* w = folded.weights.write();
    const std::int64_t width = weights.numel() / std::max<std::int64_t>(1, weights.shape().front());
    for (std::size_t o = 0; o < channels; ++o) {
        const double factor = norm.weight[o] / std::sqrt(norm.variance[o] + norm.epsilon);
        for (std::int64_t i = 0; i < width; ++i)
            *w++ *= factor;
        folded.bias[o] = (folded.bias[o] - norm.mean[o]) * factor + norm.bias[o];
    }
    return folded;
}

std::optional<std::size_t> foldsInto(const Graph& graph, std::size_t norm)
{
    if (graph.nodes[norm].op->id != "batch_norm")
        return std::nullopt;
    const ValueId x = graph.nodes[norm].inputs.front();
    std::optional<std::size_t> producer;
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
        const Node& node = graph.nodes[n];
        if (n != norm && std::ranges::find(node.inputs, x) != node.inputs.end())
            return std::nullopt;
        if (std::ranges::find(node.outputs, x) != node.outputs.end())
            producer = n;
    }
    if (!producer || graph.lastUse[static_cast<std::size_t>(x)] != norm)
        return std::nullopt;
    const Node& node = graph.nodes[*producer];
    const bool rowsAreOutputs = node.integer("transposed", 0) == 0 && node.integer("expert", -1) < 0;
    return (node.op->id == "conv" || node.op->id == "linear") && rowsAreOutputs ? producer : std::nullopt;
}

} // namespace ql::graph
