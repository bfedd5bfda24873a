// SPDX-License-Identifier: GPL-3.0-or-later
// Who makes a value of a graph, who reads it, and how often a layer is used.
#pragma once

#include "core/model/graph/graph.h"
#include "core/model/graph/operator.h"

#include <map>
#include <vector>

namespace ql {

class GraphUses {
public:
    struct Use {
        const graph::Node* node;
        std::size_t input;
    };
    explicit GraphUses(const graph::Graph& graph)
        : m_graph(graph), m_producers(graph.values.size()), m_uses(graph.values.size())
    {
        for (const graph::Node& node : graph.nodes) {
            for (const graph::ValueId id : node.outputs)
                m_producers[static_cast<std::size_t>(id)] = &node;
            for (std::size_t i = 0; i < node.inputs.size(); ++i) {
                const graph::ValueId id = node.inputs[i];
                if (id == graph::kLeftOut)
                    continue;
                m_uses[static_cast<std::size_t>(id)].push_back({&node, i});
                if (const std::int64_t layer = graph.values[static_cast<std::size_t>(id)].layer; layer >= 0)
                    ++m_layerUses[layer];
            }
        }
        for (const graph::ValueId id : graph.outputs)
            m_outputs[id] = true;
    }

    /// Null of inputs, constants and weights.
    const graph::Node* producer(graph::ValueId id) const { return m_producers[static_cast<std::size_t>(id)]; }
    const std::vector<Use>& uses(graph::ValueId id) const { return m_uses[static_cast<std::size_t>(id)]; }
    bool isOutput(graph::ValueId id) const { return m_outputs.contains(id); }
    std::int64_t usesOf(std::int64_t layer) const
    {
        const auto found = m_layerUses.find(layer);
        return found == m_layerUses.end() ? 0 : found->second;
    }
    /// The layer whose weights are input i of the node; −1 if there are none.
    std::int64_t layerAt(const graph::Node& node, std::size_t i) const
    {
        return i < node.inputs.size() && node.inputs[i] != graph::kLeftOut
                   ? m_graph.values[static_cast<std::size_t>(node.inputs[i])].layer
                   : -1;
    }
    static bool is(const graph::Node* node, std::string_view op) { return node && node->op->id == op; }

private:
    const graph::Graph& m_graph;
    std::vector<const graph::Node*> m_producers;
    std::vector<std::vector<Use>> m_uses;
    std::map<std::int64_t, std::int64_t> m_layerUses;
    std::map<graph::ValueId, bool> m_outputs;
};

} // namespace ql
