// SPDX-License-Identifier: GPL-3.0-or-later
// An ONNX model: the weights (initializers and Constant nodes of the graph, of its subgraphs in If, Loop and Scan, and
// of its functions), the nodes, and what the nodes compute with the weights. Everything is a view of the file's bytes,
// which must outlive it. Field numbers: onnx/onnx.proto3.
#pragma once

#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/wire_format.h"

#include <deque>
#include <map>
#include <variant>

namespace ql {

/// One tensor and where its values are.
struct OnnxTensor {
    std::string name;
    int type = 0; // TensorProto.DataType
    Shape shape;
    wire::Bytes message; // the TensorProto, or the attribute of a Constant that holds plain numbers
    bool isAttribute = false;
    wire::Bytes raw; // raw_data, if hasRaw
    bool hasRaw = false;
    bool isExternal = false;
    std::string location; // of external data
    std::int64_t offset = 0;
    std::optional<std::int64_t> length;
    TensorUse use;
};

struct OnnxGraph;

struct OnnxAttribute {
    std::string_view name;
    wire::Bytes message;
    std::vector<const OnnxGraph*> graphs;
};

/// The values of attributes are read when asked for; the fallback, or nothing, where the node has none of that name.
struct OnnxNode {
    std::string_view op, name;
    std::string_view domain;               // empty: ONNX's own
    std::vector<std::string_view> inputs;  // empty where left out
    std::vector<std::string_view> outputs; // empty where left out
    std::vector<OnnxAttribute> attributes;

    std::int64_t integer(std::string_view attribute, std::int64_t fallback) const;
    double number(std::string_view attribute, double fallback) const;
    std::string_view text(std::string_view attribute, std::string_view fallback) const;
    /// The first 65 at most: one more than an array has dimensions.
    std::optional<std::vector<std::int64_t>> integers(std::string_view attribute) const;
    std::optional<std::vector<double>> numbers(std::string_view attribute) const;
    /// The first element of a tensor.
    std::optional<std::variant<std::int64_t, double>> element(std::string_view attribute) const;
    /// Where TensorProto and GraphProto stand.
    const OnnxAttribute* find(std::string_view attribute) const;
};

struct OnnxGraph {
    std::string step; // from the graph around it: node and attribute; of a function its name
    const OnnxGraph* parent = nullptr;
    std::map<std::string, std::size_t, std::less<>> tensors; // index into OnnxModel::tensors, by name in this graph
    std::vector<OnnxNode> nodes = {};                        // in the order of execution
    std::vector<std::string_view> inputs = {};               // also initializers, in older files
    std::vector<Shape> inputShapes = {};                     // of each; −1: a size not stated; empty: none is
    std::vector<std::string_view> outputs = {};
};

struct OnnxModel {
    std::vector<OnnxTensor> tensors; // names unique
    std::deque<OnnxGraph> graphs;
    const OnnxGraph* main = nullptr;
    std::map<std::string, std::int64_t, std::less<>> opsets; // version by domain
    std::vector<std::pair<std::string, std::string>> metadata;
    std::vector<Warning> warnings;
};

/// How values of a TensorProto.DataType lie in memory; nothing for text and unknown types.
std::optional<Dtype> onnxDtype(int type);

/// Whether the bytes can be an ONNX model, also one that was cut off.
bool looksLikeOnnx(wire::Bytes file);
Result<OnnxModel> parseOnnx(wire::Bytes file, const std::string& where);

} // namespace ql
