// SPDX-License-Identifier: GPL-3.0-or-later
// What the names in an ONNX graph stand for: tensors of the file, which are layers, or values that nodes made. A tensor
// enters the graph when a node reads it, turned back from W[out, in…] to the order of the file where a layer turns it;
// a product reads W as it is, so that layers keep their hooks.
#pragma once

#include "core/checkpoint/onnx_graph.h"
#include "core/model/frontends/model_builder.h"

namespace ql {

class OnnxValues {
public:
    OnnxValues(ModelBuilder& builder, const OnnxModel& onnx) : m_builder(builder), m_onnx(onnx) {}

    /// Either a value or a tensor of the file that no node but Transpose and Identity has touched.
    struct Known {
        graph::ValueId value = graph::kLeftOut;
        std::int64_t tensor = -1; // index into OnnxModel::tensors
        bool swapped = false;     // the last two axes of the tensor
    };

    /// Null, and an error, where nothing of that name was made before.
    const Known* find(const OnnxGraph& graph, std::string_view name);
    /// An error where the name is taken.
    void define(const OnnxGraph& graph, std::string_view name, const Known& known);
    /// As nodes see it; kLeftOut after an error.
    graph::ValueId value(const OnnxGraph& graph, std::string_view name);
    /// The weights W[out, in] of the layer that multiplies by the right operand M[in, out] (or by M[out, in], if
    /// `turned`); kLeftOut where it is no such layer.
    graph::ValueId matrix(const OnnxGraph& graph, std::string_view name, bool turned);
    /// The integers of a constant; nothing if it is none.
    std::optional<std::vector<std::int64_t>> integers(const OnnxGraph& graph, std::string_view name);
    const OnnxTensor& tensor(const Known& known) const
    {
        return m_onnx.tensors[static_cast<std::size_t>(known.tensor)];
    }

private:
    using Key = std::pair<const OnnxGraph*, std::string_view>;
    Known* find(const Key& key);
    const Layer* layerOf(const OnnxTensor& tensor) const;
    Result<graph::Array<std::int64_t>> load(const OnnxTensor& tensor) const;
    graph::ValueId made(const Known& known);
    graph::ValueId asStored(const OnnxTensor& tensor, const Layer& layer);

    ModelBuilder& m_builder;
    const OnnxModel& m_onnx;
    std::map<Key, Known> m_known;
};

} // namespace ql
