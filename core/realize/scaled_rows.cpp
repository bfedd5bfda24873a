// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/scaled_rows.h"

#include "core/formats/row_factors.h"

#include <set>

namespace ql {

namespace {

/// Layers that linear nodes multiply by as they are, and nothing else does, outside of the last segment.
std::set<std::int64_t> linearLayers(const graph::Graph& graph)
{
    std::set<std::int64_t> linear, others;
    const std::size_t head = graph.segments.empty() ? graph.nodes.size() : graph.segments.back().begin;
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
        const graph::Node& node = graph.nodes[n];
        for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            if (node.inputs[i] == graph::kLeftOut)
                continue;
            const std::int64_t layer = graph.values[static_cast<std::size_t>(node.inputs[i])].layer;
            const bool isProduct = node.op->id == "linear" && i == 1 && node.integer("transposed", 0) == 0 && n < head;
            (isProduct ? linear : others).insert(layer);
        }
    }
    std::erase_if(linear, [&](std::int64_t layer) { return layer < 0 || others.contains(layer); });
    return linear;
}

} // namespace

ScaledRows scaledRowsOf(const Model& model, const graph::Graph& graph, const Plan& plan)
{
    ScaledRows found;
    std::map<std::string, int> leftOut; // by scheme
    for (const std::int64_t layer : linearLayers(graph)) {
        const auto index = static_cast<std::size_t>(layer);
        const Scheme& scheme = plan.candidates[index].weights;
        if (!model.layers[index].quantizable || scheme.isKeep() || scheme.isCast())
            continue;
        if (takesRowFactors(scheme))
            found.layers.push_back({layer, matrixShape(model.layers[index].shape).rows});
        else
            ++leftOut[printScheme(scheme)];
    }
    for (const auto& [scheme, count] : leftOut)
        found.notes.push_back({scheme, "stores no scales that rows could be multiplied by: " + std::to_string(count) +
                                           (count == 1 ? " layer keeps its rows" : " layers keep their rows")});
    return found;
}

} // namespace ql
