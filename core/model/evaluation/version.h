// SPDX-License-Identifier: GPL-3.0-or-later
// A version of a model: its own, or what a plan makes of it. Copies share the weights' source.
#pragma once

#include "core/model/graph/run.h"

namespace ql {

struct ModelVersion {
    std::shared_ptr<const graph::WeightSource> weights;
    /// What becomes of the inputs of layers (quantized activations) …
    graph::LayerInputHook<float> layerInput = {};
    /// … where their rows do not begin with the first token of each text: tokens generated later, rows of the head.
    /// Empty: the same.
    graph::LayerInputHook<float> laterInput = {};
    /// What becomes of keys and values before they are kept.
    graph::KeysValuesHook<float> keysValues = {};

    graph::ForwardOptions<float> options(bool beginsText, graph::SequenceState<float>* state = nullptr) const
    {
        return {.layerInput = beginsText || !laterInput ? layerInput : laterInput,
                .keysValues = keysValues,
                .state = state};
    }
};

/// The model as it is; refers to it.
inline ModelVersion ownVersion(const Model& model)
{
    return {.weights = std::make_shared<graph::CheckpointWeights>(model)};
}

} // namespace ql
