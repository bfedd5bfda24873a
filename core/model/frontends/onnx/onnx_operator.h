// SPDX-License-Identifier: GPL-3.0-or-later
// Operators of ONNX: how a node becomes nodes of the graph. One line in onnx_operators.def and one file add a family.
// Floats of any width are real numbers here and computed in float32 (or float64); integers and booleans are 64-bit
// integers. Source: onnx.ai/onnx/operators.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace ql {

class OnnxImporter;

struct OnnxOperator {
    std::string_view id; // "Conv"
    /// Adds the node at hand of the importer to the graph; what cannot be goes to its refuse().
    void (*import)(OnnxImporter& importer);
};
struct OnnxFamily {
    std::string_view title;
    std::span<const OnnxOperator> operators;
};
std::span<const OnnxFamily* const> allOnnxFamilies();
/// Null if it is not known.
const OnnxOperator* findOnnxOperator(std::string_view id);

/// Versions of ONNX's operators that are known. A node's meaning is that of the file's version.
inline constexpr std::int64_t kFirstOpset = 13;
inline constexpr std::int64_t kLastOpset = 28;

} // namespace ql
