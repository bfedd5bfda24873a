// SPDX-License-Identifier: GPL-3.0-or-later
// The names GGUF files give the weights of a model.
#pragma once

#include "core/model/model.h"

namespace ql {

/// The tensor of a GGUF file that holds the layer's weights ("blk.3.attn_q.weight"), whatever the checkpoint calls
/// them; for an expert that of the stack of all experts. In a GGUF file the layer's own name.
std::string ggufName(const Model& model, const Layer& layer);

} // namespace ql
