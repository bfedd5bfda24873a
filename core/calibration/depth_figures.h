// SPDX-License-Identifier: GPL-3.0-or-later
// What one run over text says of layers along the depth of a model, figures of each (layer_figures.h):
//   lim         −cos(h, h′) of the hidden states that enter and leave its block, mean over tokens: −1 where the block
//               leaves them, more the further it turns them, at most 1. Layers of one block share it; those outside of
//               blocks have none.
//   entropy_l1  −Σ_t a_t·ln a_t over tokens, a_t = |x_t| / Σ|x|, mean over the layer's input channels: ln n where n
//               tokens are alike, 0 where one has it all
//   entropy_l2  the same with a_t = |x_t| / √Σx², as the released code has it: ½·√n·ln n where n tokens are alike
// Channels that are 0 throughout count as 0.
// Sources: Dumitru et al., Layer-Wise Quantization, 2024 (arXiv 2406.17415), LIM; Wang et al., Q-VLM, NeurIPS 2024.
#pragma once

#include "core/calibration/layer_figures.h"
#include "core/model/evaluation/windows.h"
#include "core/model/graph/run.h"

namespace ql {

/// Sums over tokens of one input channel, from which its entropies follow.
struct ChannelEntropy {
    double sum = 0;     // Σ|x|
    double squares = 0; // Σx²
    double logs = 0;    // Σ|x|·ln|x|

    void add(double x);
    double l1() const;
    double l2() const;
};

struct DepthTask {
    const Model& model;
    const graph::Graph& graph; // of a language model: inputs[0] are tokens
    const graph::WeightSource& weights;
    const Windows& windows;
    ResultSink& sink;
};

/// Runs block by block and keeps each layer's figures as they are known; a layer that has figures of the same text is
/// left as it is, and where all have them nothing runs. Stacked experts see part of the tokens each; theirs are taken
/// together. Equal bits for any thread count on one CPU.
Result<void> measureDepth(const DepthTask& task, const JobContext& context);

} // namespace ql
