// SPDX-License-Identifier: GPL-3.0-or-later
// Layers of one input that runtimes run as one product: q, k and v, or gate and up, of one parent module. Their rows
// lie in one matrix then, under one scheme and, where a format has a scale for the whole tensor, under one of that.
// Source: vLLM, QKVParallelLinear and MergedColumnParallelLinear.
#pragma once

#include "core/model/model.h"

namespace ql {

/// Names the product the layer is fused into, "model.layers.0.self_attn.qkv"; empty if it stays alone.
std::string fusedProduct(const Layer& layer);

/// The other quantizable layers of its product, in the model's order.
std::vector<std::int64_t> fusedWith(const Model& model, std::int64_t layer);

} // namespace ql
