// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/transforms/residual_stream.h"

#include "core/transforms/graph_uses.h"

#include <algorithm>
#include <set>

namespace ql {

namespace {

using graph::Graph;
using graph::Node;
using graph::ValueId;

class Finder {
public:
    Finder(const Model& model, const Graph& graph, StreamChange change)
        : m_model(model), m_graph(graph), m_uses(graph), m_isOrder(change == StreamChange::order)
    {}

    Result<ResidualStream> find()
    {
        const auto start = std::ranges::find_if(m_graph.nodes, [&](const Node& node) {
            const std::int64_t layer = GraphUses::is(&node, "embedding") ? m_graph.layerOf(node) : -1;
            return layer >= 0 && layerAt(layer).role == "embedding";
        });
        if (start == m_graph.nodes.end())
            return refused("has no embedding of tokens, so no residual stream", m_model.checkpoint->path().string());
        m_stream.width = layerAt(m_graph.layerOf(*start)).shape.back();
        visit(start->outputs.front());
        while (!m_open.empty()) {
            const ValueId id = m_open.back();
            m_open.pop_back();
            QL_CHECK(written(id));
            QL_CHECK(read(id));
        }
        QL_CHECK(checkUses());
        return std::move(m_stream);
    }

private:
    const Layer& layerAt(std::int64_t index) const { return m_model.layers[static_cast<std::size_t>(index)]; }
    void visit(ValueId id)
    {
        if (m_seen.insert(id).second)
            m_open.push_back(id);
    }
    std::string cannot() const
    {
        return m_isOrder ? "cannot get another order of its residual stream" : "cannot be rotated";
    }
    Error refusal(const std::string& what) const
    {
        return refused(cannot() + ": " + what, m_model.checkpoint->path().string());
    }
    Error refusal(const Node& node, const std::string& what) const
    {
        return refusal(node.name + " (" + std::string(node.op->id) + ") " + what);
    }
    /// Whether input i is left out or a vector of a layer of its own.
    bool isVector(const Node& node, std::size_t i, std::int64_t size) const
    {
        if (i >= node.inputs.size() || node.inputs[i] == graph::kLeftOut)
            return true;
        const std::int64_t layer = m_uses.layerAt(node, i);
        return layer >= 0 && layerAt(layer).shape == Shape{size};
    }

    /// Follows the value back to what makes it.
    Result<void> written(ValueId id)
    {
        const Node* const node = m_uses.producer(id);
        if (!node)
            return refusal("an input or a constant is added to it");
        const std::int64_t layer = m_graph.layerOf(*node);
        if (GraphUses::is(node, "embedding") && layer >= 0 && layerAt(layer).shape.back() == m_stream.width) {
            m_stream.tables.push_back(layer);
            ++m_counted[layer];
        } else if (GraphUses::is(node, "linear") && layer >= 0 && layerAt(layer).shape.size() == 2) {
            if (!isVector(*node, 2, layerAt(layer).shape[0]))
                return refusal(*node, "has a bias that is no vector of its own");
            const std::int64_t bias = m_uses.layerAt(*node, 2);
            if (m_counted[layer]++ == 0) // the experts of a stack each have a node
                m_stream.writers.push_back({layer, bias});
            if (bias >= 0)
                ++m_counted[bias];
        } else if (GraphUses::is(node, "add")) {
            visit(node->inputs[0]);
            visit(node->inputs[1]);
        } else if (GraphUses::is(node, "scale")) {
            visit(node->inputs[0]);
        } else if (GraphUses::is(node, "moe_combine")) {
            for (std::size_t i = 1; i < node->inputs.size(); ++i)
                visit(node->inputs[i]);
        } else if (GraphUses::is(node, "multiply") && isShare(node->inputs[1])) {
            visit(node->inputs[0]); // a shared expert, by one number for each token
        } else if (m_isOrder && isNorm(*node)) {
            QL_CHECK(norm(*node));
        } else {
            return refusal(*node, "writes to the residual stream");
        }
        return {};
    }

    /// One number for each token: what a linear layer of one row makes, behind an activation function.
    bool isShare(ValueId id) const
    {
        const Node* node = m_uses.producer(id);
        if (GraphUses::is(node, "activation"))
            node = m_uses.producer(node->inputs[0]);
        const std::int64_t layer = GraphUses::is(node, "linear") ? m_uses.layerAt(*node, 1) : -1;
        return layer >= 0 && layerAt(layer).shape.size() == 2 && layerAt(layer).shape[0] == 1;
    }

    static bool isNorm(const Node& node)
    {
        return (GraphUses::is(&node, "rms_norm") || GraphUses::is(&node, "layer_norm")) &&
               !node.attributes.contains("size");
    }

    /// Whether what the node makes is of the stream as well.
    bool passes(const GraphUses::Use& use) const
    {
        const Node& node = *use.node;
        return GraphUses::is(&node, "add") || GraphUses::is(&node, "scale") ||
               (GraphUses::is(&node, "moe_combine") && use.input > 0) ||
               (GraphUses::is(&node, "multiply") && use.input == 0 && isShare(node.inputs[1]));
    }

    Result<void> read(ValueId id)
    {
        const Node* const producer = m_uses.producer(id);
        if (producer && isNorm(*producer))
            return {}; // what reads it was found with the norm
        if (m_uses.isOutput(id))
            return refusal("its residual stream is an output");
        for (const GraphUses::Use& use : m_uses.uses(id)) {
            const Node& node = *use.node;
            if (passes(use)) {
                visit(node.outputs.front());
            } else if (use.input == 0 && isNorm(node) && (m_isOrder || GraphUses::is(&node, "rms_norm"))) {
                QL_CHECK(norm(node));
            } else {
                return refusal(node, GraphUses::is(&node, "layer_norm")
                                         ? "subtracts the mean of the channels, which a rotation does not keep"
                                         : "reads the residual stream");
            }
        }
        return {};
    }

    Result<void> norm(const Node& node)
    {
        if (!m_norms.insert(&node).second)
            return {};
        ResidualStream::Norm norm{.weights = m_uses.layerAt(node, 1),
                                  .bias = m_uses.layerAt(node, 2),
                                  .offset = node.number("offset", 0),
                                  .readers = {},
                                  .feedsTiedHead = false};
        for (const std::int64_t layer : {norm.weights, norm.bias})
            if (layer >= 0 && m_uses.usesOf(layer) > 1)
                return refusal(node, "shares its weights");
        if (m_isOrder && !(isVector(node, 1, m_stream.width) && isVector(node, 2, m_stream.width)))
            return refusal(node, "has weights that are no vector of their own");
        visit(node.inputs[0]);
        QL_CHECK(readers(node, node.outputs.front(), norm));
        m_stream.norms.push_back(std::move(norm));
        return {};
    }

    Result<void> readers(const Node& norm, ValueId id, ResidualStream::Norm& into)
    {
        if (m_uses.isOutput(id))
            return refusal(norm, "makes an output of the model");
        for (const GraphUses::Use& use : m_uses.uses(id)) {
            const Node& node = *use.node;
            if (GraphUses::is(&node, "moe_dispatch") && use.input == 0) {
                QL_CHECK(readers(norm, node.outputs.front(), into));
                continue;
            }
            if (m_isOrder && passes(use)) {
                visit(node.outputs.front());
                continue;
            }
            const std::int64_t layer = GraphUses::is(&node, "linear") && use.input == 0 ? m_uses.layerAt(node, 1) : -1;
            if (layer < 0 || layerAt(layer).shape.size() != 2)
                return refusal(node, "reads the output of " + norm.name);
            ++m_counted[layer];
            if (layerAt(layer).op == Operator::embedding) {
                m_stream.tiedHead = layer;
                into.feedsTiedHead = true;
            } else if (std::ranges::find(into.readers, layer) == into.readers.end()) {
                into.readers.push_back(layer);
            }
        }
        return {};
    }

    /// Each layer changes on one side only, once.
    Result<void> checkUses() const
    {
        for (const auto& [layer, count] : m_counted)
            if (m_uses.usesOf(layer) != count)
                return refusal(layerAt(layer).name + " is used elsewhere, too");
        return {};
    }

    const Model& m_model;
    const Graph& m_graph;
    GraphUses m_uses;
    bool m_isOrder;
    ResidualStream m_stream;
    std::set<const Node*> m_norms;
    std::set<ValueId> m_seen;
    std::vector<ValueId> m_open;
    std::map<std::int64_t, std::int64_t> m_counted; // uses found, by layer
};

} // namespace

Result<ResidualStream> findResidualStream(const Model& model, const Graph& graph, StreamChange change)
{
    return Finder(model, graph, change).find();
}

} // namespace ql
