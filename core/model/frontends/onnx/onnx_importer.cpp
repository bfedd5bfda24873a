// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/frontends/onnx/onnx_importer.h"

#include "core/base/text.h"
#include "core/model/frontends/onnx/onnx_operator.h"
#include "core/model/name_rules.h"

#include <algorithm>

namespace ql {

using graph::Array;
using graph::kLeftOut;
using graph::ValueId;
using Integers = std::vector<std::int64_t>;

namespace {

std::string shown(std::string_view text)
{
    return printable(std::string(text.substr(0, 200)));
}

} // namespace

OnnxImporter::OnnxImporter(ModelBuilder& builder, const OnnxModel& onnx)
    : m_builder(builder), m_onnx(onnx), m_values(builder, onnx)
{
    if (const auto found = onnx.opsets.find(""); found != onnx.opsets.end())
        m_opset = found->second;
}

Outputs OnnxImporter::import()
{
    Outputs outputs;
    if (!m_onnx.main)
        m_builder.refuse("has no graph");
    else if (m_opset < kFirstOpset || m_opset > kLastOpset)
        m_builder.refuse("is written for opset " + std::to_string(m_opset) + ", where " + std::to_string(kFirstOpset) +
                         " to " + std::to_string(kLastOpset) + " are known");
    if (m_builder.failed())
        return outputs;
    const OnnxGraph& main = *m_onnx.main;
    for (const std::string_view input : main.inputs)
        if (!main.tensors.contains(input)) // else it has a value, and older files list it nonetheless
            m_values.define(main, input, {.value = m_builder.input(std::string(input))});
    m_builder.segment("graph");
    nodes(main);
    std::set<ValueId> taken;
    for (const std::string_view name : main.outputs) {
        if (m_builder.failed())
            return outputs;
        ValueId value = m_values.value(main, name);
        const bool isNodes = value != kLeftOut && m_made.contains(value);
        if (!isNodes || !taken.insert(value).second) // an output is the work of a node, and of that name alone
            value = m_builder.node("reshape", std::string(name), {value}, {{"unsqueeze", Integers()}});
        outputs.emplace_back(std::string(name), value);
    }
    if (outputs.empty())
        m_builder.refuse("has a graph without outputs");
    return outputs;
}

void OnnxImporter::nodes(const OnnxGraph& graph)
{
    const OnnxGraph* const outerGraph = std::exchange(m_graph, &graph);
    const OnnxNode* const outerNode = m_node;
    for (const OnnxNode& node : graph.nodes) {
        if (m_builder.failed())
            break;
        m_node = &node;
        importNode();
    }
    m_graph = outerGraph;
    m_node = outerNode;
}

void OnnxImporter::importNode()
{
    const OnnxOperator* op = node().domain.empty() ? findOnnxOperator(node().op) : nullptr;
    if (!op)
        return refuse(node().domain.empty() ? "is an operator that is not known"
                                            : "is an operator of " + shown(node().domain) + ", which is not known");
    // Weights are in memory by segments: one begins where names say that a block does.
    if (const std::int64_t block = splitName(node().name).block; block > m_block) {
        m_block = block;
        m_builder.segment("block " + std::to_string(block));
    }
    op->import(*this);
}

std::string OnnxImporter::nodeName() const
{
    return shown(node().name.empty() && makes(0) ? node().outputs.front() : node().name);
}

ValueId OnnxImporter::input(std::size_t index)
{
    return has(index) ? m_values.value(*m_graph, node().inputs[index]) : kLeftOut;
}

std::vector<ValueId> OnnxImporter::inputs(std::size_t first)
{
    std::vector<ValueId> all;
    for (std::size_t i = first; i < node().inputs.size(); ++i)
        all.push_back(input(i));
    return all;
}

ValueId OnnxImporter::matrix(std::size_t index, bool turned)
{
    return has(index) ? m_values.matrix(*m_graph, node().inputs[index], turned) : kLeftOut;
}

std::optional<Integers> OnnxImporter::constant(std::string_view attribute, std::size_t input)
{
    if (node().find(attribute))
        return node().integers(attribute);
    return has(input) ? m_values.integers(*m_graph, node().inputs[input]) : std::nullopt;
}

ValueId OnnxImporter::add(std::string_view op, std::vector<ValueId> inputs, graph::Attributes attributes)
{
    const ValueId made = m_builder.node(op, nodeName(), std::move(inputs), std::move(attributes));
    m_made.insert(made);
    return made;
}

ValueId OnnxImporter::constant(double value)
{
    return m_builder.constant(nodeName(), Array<double>::filled({}, value));
}

ValueId OnnxImporter::constant(std::int64_t value)
{
    return m_builder.constant(nodeName(), Array<std::int64_t>::filled({}, value));
}

void OnnxImporter::result(ValueId value, std::size_t output)
{
    if (makes(output))
        m_values.define(*m_graph, node().outputs[output], {.value = value});
}

void OnnxImporter::pass(bool swapped)
{
    const OnnxValues::Known* known = has(0) ? m_values.find(*m_graph, node().inputs[0]) : nullptr;
    if (!known)
        return refuse("has no input");
    OnnxValues::Known copy = *known;
    if (swapped) {
        copy.value = kLeftOut;
        copy.swapped = !copy.swapped;
    }
    if (makes(0))
        m_values.define(*m_graph, node().outputs[0], copy);
}

const OnnxTensor* OnnxImporter::storedInput()
{
    const OnnxValues::Known* known = has(0) ? m_values.find(*m_graph, node().inputs[0]) : nullptr;
    return known && known->tensor >= 0 ? &m_values.tensor(*known) : nullptr;
}

void OnnxImporter::takeOver(const OnnxGraph& inner)
{
    nodes(inner);
    for (std::size_t i = 0; i < node().outputs.size() && !m_builder.failed(); ++i) {
        const OnnxValues::Known* known = i < inner.outputs.size() ? m_values.find(inner, inner.outputs[i]) : nullptr;
        if (!known)
            return refuse("makes more than its graphs do");
        if (makes(i))
            m_values.define(*m_graph, node().outputs[i], OnnxValues::Known(*known));
    }
}

void OnnxImporter::refuse(const std::string& what)
{
    m_builder.refuse("has the node '" + nodeName() + "' (" + shown(node().op) + ", opset " + std::to_string(m_opset) +
                     "), which " + what);
}

} // namespace ql
