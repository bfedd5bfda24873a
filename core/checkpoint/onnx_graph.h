// SPDX-License-Identifier: GPL-3.0-or-later
// The weights in an ONNX model: initializers and Constant nodes of the graph, of its subgraphs (If, Loop, Scan) and of
// its functions, and what the nodes compute with them. Field numbers: onnx/onnx.proto3.
#pragma once

#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/wire_format.h"

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

struct OnnxModel {
    std::vector<OnnxTensor> tensors; // names unique
    std::vector<std::pair<std::string, std::string>> metadata;
    std::vector<Warning> warnings;
};

/// Whether the bytes can be an ONNX model, also one that was cut off.
bool looksLikeOnnx(wire::Bytes file);
Result<OnnxModel> parseOnnx(wire::Bytes file, const std::string& where);

} // namespace ql
