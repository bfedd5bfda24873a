// SPDX-License-Identifier: GPL-3.0-or-later
// Names of activation functions, as operators carry them and as config.json spells them.
#pragma once

#include "core/model/graph/graph.h"
#include "core/model/graph/vector_math.h"

namespace ql::graph {

/// From an operator's or config.json's word: "relu", "silu" or "swish", "gelu", "gelu_new", "gelu_pytorch_tanh", …
std::optional<Activation> activationFromName(std::string_view name);
/// The node's attribute "function".
Result<Activation> activationOf(const Node& node);

} // namespace ql::graph
