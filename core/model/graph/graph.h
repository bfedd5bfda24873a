// SPDX-License-Identifier: GPL-3.0-or-later
// The computation of a model: nodes in the order of execution, values between them, and segments (embedding, one per
// block, head) between which little is alive, so that a model runs segment by segment with one segment's weights in
// memory. Front ends (frontends.def) build it from config.json, GGUF keys or an ONNX file; run.h runs it. Immutable
// once built.
#pragma once

#include "core/base/result.h"
#include "core/model/graph/array.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ql::graph {

struct Operator;

/// Index into Graph::values.
using ValueId = std::int32_t;
/// An optional input that is left out.
constexpr ValueId kLeftOut = -1;

using Attribute = std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

struct Node {
    const Operator* op = nullptr;
    std::string name; // "blocks.3.q_proj", for people
    std::vector<ValueId> inputs;
    std::vector<ValueId> outputs;
    Attributes attributes;

    /// An attribute of that type, or the fallback where the node has none.
    std::int64_t integer(std::string_view key, std::int64_t fallback) const;
    double number(std::string_view key, double fallback) const;
    std::string_view text(std::string_view key, std::string_view fallback) const;
    const std::vector<std::int64_t>* integers(std::string_view key) const;
    const std::vector<double>* numbers(std::string_view key) const;
};

/// A value is an input of the graph, the weights of a layer, a constant, or the output of one node.
struct ValueInfo {
    std::string name;
    std::int64_t layer = -1; // index into model.layers
    Array<double> real;      // a constant
    Array<std::int64_t> integers;
    bool isConstant() const { return static_cast<bool>(real) || static_cast<bool>(integers); }
};

/// Nodes [begin, end).
struct Segment {
    std::string name; // "embedding", "block 3", "head"
    std::int64_t block = -1;
    bool rowwise = false; // each token is computed by itself, so any rows of one input may be run
    std::size_t begin = 0;
    std::size_t end = 0;
};

struct Graph {
    std::vector<ValueInfo> values;
    std::vector<Node> nodes;
    std::vector<Segment> segments; // cover the nodes, in order
    std::vector<ValueId> inputs;   // "tokens" first where it is a language model
    std::vector<ValueId> outputs;  // "logits" first where it is a language model
    /// For each value the last node that reads it; nodes.size() for outputs.
    std::vector<std::size_t> lastUse;

    /// The layers whose weights the segment reads, each once, ascending.
    std::vector<std::int64_t> layersOf(std::size_t segment) const;
    /// The layer whose weights a node uses; −1 if none.
    std::int64_t layerOf(const Node& node) const;
    /// The same where it multiplies activations by them, which a table of rows does not.
    std::int64_t productLayerOf(const Node& node) const;
};

/// Puts a graph together in the order of execution.
class GraphBuilder {
public:
    ValueId input(std::string name);
    /// An input that may be left out: then it has that value.
    ValueId input(std::string name, Array<std::int64_t> otherwise);
    /// The weights of a layer; one value however often it is asked for. kLeftOut for layer −1.
    ValueId weights(std::int64_t layer, const std::string& name);
    ValueId constant(std::string name, Array<double> real);
    ValueId constant(std::string name, Array<std::int64_t> integers);
    /// Opens a segment; the nodes that follow belong to it.
    void segment(std::string name, std::int64_t block = -1, bool rowwise = false);
    /// Adds a node with one output. Inputs left out at the end may be omitted.
    ValueId add(std::string_view op, std::string name, std::vector<ValueId> inputs, Attributes attributes = {});
    /// Adds a node with several outputs.
    std::vector<ValueId> addMany(std::string_view op, std::string name, std::vector<ValueId> inputs,
                                 Attributes attributes, std::size_t outputs);
    /// Finishes: fills lastUse, drops empty segments.
    Graph finish(std::vector<ValueId> outputs) &&;

private:
    ValueId newValue(ValueInfo info);
    Graph m_graph;
    std::map<std::int64_t, ValueId> m_weights;
};

} // namespace ql::graph
