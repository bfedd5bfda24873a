// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/graph/graph.h"

#include "core/model/graph/operator.h"

#include <set>

namespace ql::graph {

namespace {

template<typename T>
const T* find(const Node& node, std::string_view key)
{
    const auto found = node.attributes.find(key);
    return found == node.attributes.end() ? nullptr : std::get_if<T>(&found->second);
}

} // namespace

std::int64_t Node::integer(std::string_view key, std::int64_t fallback) const
{
    const auto* value = find<std::int64_t>(*this, key);
    return value ? *value : fallback;
}

double Node::number(std::string_view key, double fallback) const
{
    const auto* value = find<double>(*this, key);
    return value ? *value : fallback;
}

std::string_view Node::text(std::string_view key, std::string_view fallback) const
{
    const auto* value = find<std::string>(*this, key);
    return value ? std::string_view(*value) : fallback;
}

const std::vector<std::int64_t>* Node::integers(std::string_view key) const
{
    return find<std::vector<std::int64_t>>(*this, key);
}

const std::vector<double>* Node::numbers(std::string_view key) const
{
    return find<std::vector<double>>(*this, key);
}

std::int64_t Graph::layerOf(const Node& node) const
{
    if (node.op->weights < 0)
        return -1;
    const ValueId id = node.inputs[static_cast<std::size_t>(node.op->weights)];
    return id == kLeftOut ? -1 : values[static_cast<std::size_t>(id)].layer;
}

std::int64_t Graph::productLayerOf(const Node& node) const
{
    return node.op->activations < 0 ? -1 : layerOf(node);
}

std::vector<std::int64_t> Graph::layersOf(std::size_t segment) const
{
    std::set<std::int64_t> layers;
    for (std::size_t n = segments[segment].begin; n < segments[segment].end; ++n)
        for (const ValueId id : nodes[n].inputs)
            if (id != kLeftOut && values[static_cast<std::size_t>(id)].layer >= 0)
                layers.insert(values[static_cast<std::size_t>(id)].layer);
    return {layers.begin(), layers.end()};
}

ValueId GraphBuilder::newValue(ValueInfo info)
{
    m_graph.values.push_back(std::move(info));
    return static_cast<ValueId>(m_graph.values.size() - 1);
}

ValueId GraphBuilder::input(std::string name)
{
    return input(std::move(name), {});
}

ValueId GraphBuilder::input(std::string name, Array<std::int64_t> otherwise)
{
    m_graph.inputs.push_back(newValue({.name = std::move(name), .real = {}, .integers = std::move(otherwise)}));
    return m_graph.inputs.back();
}

ValueId GraphBuilder::weights(std::int64_t layer, const std::string& name)
{
    if (layer < 0)
        return kLeftOut;
    const auto [known, isNew] = m_weights.try_emplace(layer, kLeftOut);
    if (isNew)
        known->second = newValue({.name = name, .layer = layer, .real = {}, .integers = {}});
    return known->second;
}

ValueId GraphBuilder::constant(std::string name, Array<double> real)
{
    return newValue({.name = std::move(name), .real = std::move(real), .integers = {}});
}

ValueId GraphBuilder::constant(std::string name, Array<std::int64_t> integers)
{
    return newValue({.name = std::move(name), .real = {}, .integers = std::move(integers)});
}

void GraphBuilder::segment(std::string name, std::int64_t block, bool rowwise)
{
    if (!m_graph.segments.empty())
        m_graph.segments.back().end = m_graph.nodes.size();
    m_graph.segments.push_back({std::move(name), block, rowwise, m_graph.nodes.size(), m_graph.nodes.size()});
}

ValueId GraphBuilder::add(std::string_view op, std::string name, std::vector<ValueId> inputs, Attributes attributes)
{
    return addMany(op, std::move(name), std::move(inputs), std::move(attributes), 1).front();
}

std::vector<ValueId> GraphBuilder::addMany(std::string_view op, std::string name, std::vector<ValueId> inputs,
                                           Attributes attributes, std::size_t outputs)
{
    const Operator* found = findOperator(op);
    assert(found);
    Node node{found, std::move(name), std::move(inputs), {}, std::move(attributes)};
    for (std::size_t i = 0; i < outputs; ++i)
        node.outputs.push_back(newValue({.name = node.name, .real = {}, .integers = {}}));
    m_graph.nodes.push_back(std::move(node));
    return m_graph.nodes.back().outputs;
}

Graph GraphBuilder::finish(std::vector<ValueId> outputs) &&
{
    if (m_graph.segments.empty())
        m_graph.segments.push_back({.name = "model"});
    m_graph.segments.back().end = m_graph.nodes.size();
    std::erase_if(m_graph.segments, [](const Segment& segment) { return segment.begin == segment.end; });
    m_graph.outputs = std::move(outputs);
    m_graph.lastUse.assign(m_graph.values.size(), 0);
    for (std::size_t n = 0; n < m_graph.nodes.size(); ++n)
        for (const ValueId id : m_graph.nodes[n].inputs)
            if (id != kLeftOut)
                m_graph.lastUse[static_cast<std::size_t>(id)] = n;
    for (const ValueId id : m_graph.outputs)
        m_graph.lastUse[static_cast<std::size_t>(id)] = m_graph.nodes.size();
    return std::move(m_graph);
}

} // namespace ql::graph
