// SPDX-License-Identifier: GPL-3.0-or-later
// A model of which some tensors are others, in float32: corrected biases, repaired gains. It is a model like any other,
// over a checkpoint that gives the changed tensors, so what is restored, validated and exported takes it as it is, and
// files round what changed to the type they have.
#pragma once

#include "core/model/model.h"

namespace ql {

/// Float32 values by tensor of the checkpoint, in the order it stores them.
using ChangedTensors = std::map<std::size_t, std::shared_ptr<const Buffer>>;

/// Layers as in the one it is made of.
std::shared_ptr<const Model> withChangedTensors(const Model& model, ChangedTensors changed);

} // namespace ql
