// SPDX-License-Identifier: GPL-3.0-or-later
// Rotary positions as config.json (rope_theta and rope_scaling, or rope_parameters) or GGUF keys and tensors set them:
// default, linear, dynamic NTK, YaRN, Llama 3, LongRoPE; partial rotary. Sources: transformers, modeling_rope_utils.py;
// llama.cpp, src/llama-model.cpp (get_rope_factors) and ggml's rope_yarn.
#pragma once

#include "core/model/frontends/model_builder.h"

namespace ql {

/// `layerType` chooses among settings per kind of layer: "full_attention", "sliding_attention" (Gemma 3).
Rope ropeOf(ModelBuilder& builder, std::int64_t headSize, const std::string& layerType = "full_attention");

} // namespace ql
