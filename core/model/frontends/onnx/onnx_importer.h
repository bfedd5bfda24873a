// SPDX-License-Identifier: GPL-3.0-or-later
// Puts an ONNX graph into the graph that runs, node by node in the order of the file. Shapes that a graph computes
// (Shape, Gather, Concat, Reshape) are computed where the graph runs, by the same operators on integers: nothing is
// folded and one import serves inputs of any shape. See core/decisions/onnx_graphs.md. Not thread-safe.
#pragma once

#include "core/model/frontends/frontend.h"
#include "core/model/frontends/onnx/onnx_values.h"

#include <set>

namespace ql {

class OnnxImporter {
public:
    OnnxImporter(ModelBuilder& builder, const OnnxModel& onnx);

    /// The graph's inputs, nodes and outputs.
    Outputs import();

    // For operators, about the node at hand. Inputs and outputs count as in ONNX.
    const OnnxNode& node() const { return *m_node; }
    std::int64_t opset() const { return m_opset; }
    bool has(std::size_t input) const { return input < node().inputs.size() && !node().inputs[input].empty(); }
    bool makes(std::size_t output) const { return output < node().outputs.size() && !node().outputs[output].empty(); }
    /// kLeftOut where the node has none.
    graph::ValueId input(std::size_t index);
    /// All of them, or those from one on.
    std::vector<graph::ValueId> inputs(std::size_t first = 0);
    /// Input `index` as the weights of a layer that multiplies by it from the right; kLeftOut if it is none.
    graph::ValueId matrix(std::size_t index, bool turned = false);
    /// Integers that stand in an attribute or are a constant input; nothing if they are computed or left out.
    std::optional<std::vector<std::int64_t>> constant(std::string_view attribute, std::size_t input);
    graph::ValueId add(std::string_view op, std::vector<graph::ValueId> inputs, graph::Attributes attributes = {});
    /// A scalar.
    graph::ValueId constant(double value);
    graph::ValueId constant(std::int64_t value);
    /// Names what the node makes. Nothing happens where nobody wants it.
    void result(graph::ValueId value, std::size_t output = 0);
    /// The node makes input 0, with its last two axes swapped or not.
    void pass(bool swapped = false);
    /// Input 0 as a tensor of the file that was only passed on; null if it is something else.
    const OnnxTensor* storedInput();
    /// The node makes what that graph inside it makes.
    void takeOver(const OnnxGraph& inner);
    /// The node cannot be run: "has the node X (Op, opset N), which <what>".
    void refuse(const std::string& what);

private:
    void nodes(const OnnxGraph& graph);
    void importNode();
    std::string nodeName() const;

    ModelBuilder& m_builder;
    const OnnxModel& m_onnx;
    OnnxValues m_values;
    std::int64_t m_opset = 0;
    const OnnxGraph* m_graph = nullptr;
    const OnnxNode* m_node = nullptr;
    std::int64_t m_block = -1;
    std::set<graph::ValueId> m_made; // by nodes
};

} // namespace ql
