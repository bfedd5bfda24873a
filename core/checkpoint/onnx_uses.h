// SPDX-License-Identifier: GPL-3.0-or-later
// What the nodes of an ONNX graph compute with its weights, so that it is known which axis is the output. Operators:
// onnx.ai/onnx/operators, and com.microsoft's FusedMatMul and Attention.
#pragma once

#include "core/checkpoint/onnx_graph.h"

namespace ql {

/// Sets `use` of each tensor that a product, convolution or look-up takes, directly or through Transpose, Identity and
/// Cast; of several uses the first counts.
void findUses(OnnxModel& model);

/// Whether a Transpose swaps the last two of `rank` axes and nothing else.
bool swapsLastTwo(const OnnxNode& node, std::size_t rank);

} // namespace ql
