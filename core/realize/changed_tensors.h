// SPDX-License-Identifier: GPL-3.0-or-later
// A model of which some tensors are others, in float32: corrected biases, repaired gains; and one whose rows are
// multiplied by factors once a plan has coded them. It is a model like any other, over a checkpoint that gives the
// changed tensors, so what is restored, validated and exported takes it as it is, and files round what changed to the
// type they have.
#pragma once

#include "core/model/model.h"

namespace ql {

/// Float32 values by tensor of the checkpoint, in the order it stores them.
using ChangedTensors = std::map<std::size_t, std::shared_ptr<const Buffer>>;

/// A factor for each row of a layer's codes (core/formats/row_factors.h), by layer.
using RowFactors = std::map<std::int64_t, std::vector<float>>;

/// Layers as in the one it is made of, whose factors stay where there are no others.
std::shared_ptr<const Model> withChangedTensors(const Model& model, ChangedTensors changed, RowFactors factors = {});

/// Of the rows of a layer's codes; empty: all are 1.
std::span<const float> rowFactorsOf(const Model& model, std::int64_t layer);

} // namespace ql
