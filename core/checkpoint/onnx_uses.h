// SPDX-License-Identifier: GPL-3.0-or-later
// What the nodes of an ONNX graph compute with its weights, so that it is known which axis is the output. Operators:
// onnx.ai/onnx/operators, and com.microsoft's FusedMatMul and Attention.
#pragma once

#include "core/checkpoint/onnx_graph.h"

#include <map>

namespace ql {

/// The names one graph knows of its own, and the graph around it.
struct OnnxScope {
    std::string step; // from the graph around it: node and attribute; of a function its name
    const OnnxScope* parent = nullptr;
    std::map<std::string, std::size_t, std::less<>> tensors; // index into OnnxModel::tensors
};

struct OnnxNode {
    const OnnxScope* scope = nullptr;
    std::string_view op;
    std::vector<std::string_view> inputs;                                  // the first few
    std::string_view output;                                               // the first
    std::map<std::string, std::vector<std::int64_t>, std::less<>> numbers; // attributes usesNumber() names
};

/// Whether findUses() looks at nodes of the operator, and at the attribute.
bool usesWeights(std::string_view op);
bool usesNumber(std::string_view attribute);

/// Sets `use` of each tensor that a product, convolution or look-up takes, directly or through Transpose, Identity and
/// Cast; of several uses the first counts. nodes: in the order of execution.
void findUses(std::span<const OnnxNode> nodes, std::span<OnnxTensor> tensors);

} // namespace ql
