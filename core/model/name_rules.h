// SPDX-License-Identifier: GPL-3.0-or-later
// What names tell: the pieces all naming conventions share. A convention is a list of rules, tried in order, on top of
// what the generic convention (generic_names.cpp) says of shape and name.
#pragma once

#include "core/model/model.h"

namespace ql {

/// A name taken apart: "model.layers.3.mlp.up_proj.weight" has the stem "model.layers.3.mlp.up_proj", the module
/// "up_proj", the kind "weight" and the block 3.
struct NameParts {
    std::string_view stem;
    std::string_view module;
    std::string_view kind; // "weight", "bias", "kernel", …, "vars" of Keras 3's "…/dense/vars/0"; empty otherwise
    std::int64_t block = -1;
};
NameParts splitName(std::string_view name);

/// Whether the text is `ending`, or ends in it after a '.', '/' or '_'-free boundary: whole parts only.
bool endsInParts(std::string_view text, std::string_view ending);
/// Whether any tensor of the checkpoint has the text inside its name.
bool anyName(const Checkpoint& checkpoint, std::string_view inside);

struct NameRule {
    std::string_view ending; // of the stem, whole parts
    std::string_view role;
    Operator op; // of the weight; a bias stays a bias, a tensor that cannot be quantized stays what it is
};

/// Sets role (and op) by the first rule that fits; false if none does.
bool applyRules(std::span<const NameRule> rules, Layer& layer);

/// The generic convention.
void describeGenerically(const Checkpoint& checkpoint, Layer& layer);

/// The stored array holds W[out, in] as [in, out], or a stack of such. Sets order and shape of the layer.
void storedAsInOut(Layer& layer);
/// Sets op, order and shape by what the graph in the checkpoint computes with the tensor.
void describeUse(const TensorUse& use, Layer& layer);

/// Joins layers that use the same bytes, and finds a tied output head. Fills aliases and tiedEmbedding.
void joinSharedWeights(Model& model);

} // namespace ql
