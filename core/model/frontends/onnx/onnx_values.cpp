// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/frontends/onnx/onnx_values.h"

#include "core/base/text.h"

#include <algorithm>
#include <numeric>

namespace ql {

using graph::kLeftOut;
using graph::ValueId;
using Integers = std::vector<std::int64_t>;

OnnxValues::Known* OnnxValues::find(const Key& key)
{
    for (const OnnxGraph* graph = key.first; graph; graph = graph->parent) {
        if (const auto found = m_known.find({graph, key.second}); found != m_known.end())
            return &found->second;
        if (const auto found = graph->tensors.find(key.second); found != graph->tensors.end())
            return &m_known.emplace(Key{graph, found->first}, Known{.tensor = static_cast<std::int64_t>(found->second)})
                        .first->second;
    }
    return nullptr;
}

const OnnxValues::Known* OnnxValues::find(const OnnxGraph& graph, std::string_view name)
{
    const Known* known = find({&graph, name});
    if (!known)
        m_builder.refuse("reads '" + printable(std::string(name.substr(0, 200))) + "', which nothing before it makes");
    return known;
}

void OnnxValues::define(const OnnxGraph& graph, std::string_view name, const Known& known)
{
    if (!m_known.emplace(Key{&graph, name}, known).second || graph.tensors.contains(name))
        m_builder.refuse("makes '" + printable(std::string(name.substr(0, 200))) + "' twice");
}

ValueId OnnxValues::value(const OnnxGraph& graph, std::string_view name)
{
    if (!find(graph, name))
        return kLeftOut;
    Known& known = *find({&graph, name});
    if (known.value == kLeftOut)
        known.value = made(known);
    return known.value;
}

ValueId OnnxValues::matrix(const OnnxGraph& graph, std::string_view name, bool turned)
{
    const Known* known = find(graph, name);
    if (!known || known->tensor < 0)
        return kLeftOut;
    const Layer* layer = layerOf(tensor(*known));
    const bool isTurned = known->swapped != turned;
    if (!layer || !info(layer->dtype).isFloat || tensor(*known).shape.size() != 2 || layer->shape.size() != 2 ||
        layer->stored.moves() == isTurned)
        return kLeftOut;
    return m_builder.weightsOf(m_builder.model().indexOf(layer->name));
}

std::optional<Integers> OnnxValues::integers(const OnnxGraph& graph, std::string_view name)
{
    const Known* known = find(graph, name);
    const Layer* layer = known && known->tensor >= 0 && !known->swapped ? layerOf(tensor(*known)) : nullptr;
    if (!layer || !info(layer->dtype).isInteger)
        return std::nullopt;
    const auto array = load(tensor(*known));
    if (!array) {
        m_builder.fail(array.error());
        return std::nullopt;
    }
    return Integers(array->data(), array->data() + array->numel());
}

const Layer* OnnxValues::layerOf(const OnnxTensor& tensor) const
{
    const std::int64_t index = m_builder.model().indexOf(tensor.name);
    return index < 0 ? nullptr : &m_builder.model().layers[static_cast<std::size_t>(index)];
}

Result<graph::Array<std::int64_t>> OnnxValues::load(const OnnxTensor& tensor) const
{
    Executor executor(1);
    const Checkpoint& checkpoint = *m_builder.model().checkpoint;
    QL_TRY(data, checkpoint.load(checkpoint.indexOf(tensor.name), JobContext(executor)));
    graph::Array<std::int64_t> array(data.view.shape);
    decodeIntegers(data.view.dtype, data.view.data, 0, array.numel(), array.write());
    return array;
}

ValueId OnnxValues::made(const Known& known)
{
    const OnnxTensor& stored = tensor(known);
    const Layer* layer = layerOf(stored);
    if (!layer || !(isDecodable(layer->dtype) || info(layer->dtype).isInteger)) {
        m_builder.refuse("reads the tensor " + printable(stored.name) + ", whose type cannot be computed with");
        return kLeftOut;
    }
    ValueId value = kLeftOut;
    if (info(layer->dtype).isInteger) {
        auto array = load(stored);
        if (!array) {
            m_builder.fail(array.error());
            return kLeftOut;
        }
        value = m_builder.constant(stored.name, *std::move(array));
    } else {
        value = asStored(stored, *layer);
    }
    if (!known.swapped)
        return value;
    Integers axes(stored.shape.size());
    std::iota(axes.begin(), axes.end(), std::int64_t{0});
    std::swap(axes[axes.size() - 1], axes[axes.size() - 2]);
    return m_builder.node("transpose", stored.name, {value}, {{"axes", std::move(axes)}});
}

ValueId OnnxValues::asStored(const OnnxTensor& tensor, const Layer& layer)
{
    ValueId value = m_builder.weightsOf(m_builder.model().indexOf(layer.name));
    Shape shape = layer.shape;
    const auto reshape = [&](const Shape& to) {
        if (shape != to)
            value = m_builder.node("reshape", tensor.name, {value}, {{"shape", to}, {"keep_zeros", std::int64_t{1}}});
        shape = to;
    };
    if (layer.stored.moves()) {
        const auto& [seenAs, axes] = layer.stored;
        Shape turned;
        Integers back(axes.size());
        for (std::size_t d = 0; d < axes.size(); ++d) {
            turned.push_back(seenAs[static_cast<std::size_t>(axes[d])]);
            back[static_cast<std::size_t>(axes[d])] = static_cast<std::int64_t>(d);
        }
        reshape(turned);
        value = m_builder.node("transpose", tensor.name, {value}, {{"axes", std::move(back)}});
        shape = seenAs;
    }
    reshape(tensor.shape);
    return value;
}

} // namespace ql
