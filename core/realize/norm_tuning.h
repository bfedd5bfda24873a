// SPDX-License-Identifier: GPL-3.0-or-later
// Repair of norms by their gradient: gains (and biases of LayerNorm) of a plan are moved down the gradient of the mean
// KLD(model ‖ plan) per token on windows of text, while all quantized weights stay as they are. Each value moves in
// units of the size of its gain: w = w₀ + s·θ, s the larger of |offset + w₀| and a tenth of the root mean square over
// the norm. θ by Adam (Kingma and Ba, 2015) with β = 0.9, 0.99 in double, on a few windows a step in an order drawn
// from the seed, at a rate that rises over the first tenth of the steps and falls along a cosine to 0.
// Sources: Li et al., Norm Tweaking, AAAI 2024 (which weights); Hubara et al., CalibTIP, ICML 2021, section 3.4 (KL to
// the model's outputs). Memory: a hidden state of each token beside what loss_gradients.h says; the plan's weights are
// asked for in each step, so that a source that holds them (held_weights.h) saves most of the time. Equal bits for any
// thread count on one CPU.
#pragma once

#include "core/model/evaluation/version.h"
#include "core/model/evaluation/windows.h"
#include "core/realize/norms.h"

namespace ql {

struct NormTuningSettings {
    std::int64_t steps = 40;
    std::int64_t batch = 4; // windows a step
    double rate = 0.01;     // of θ
    std::uint64_t seed = 1;
};

struct NormTuningTask {
    const Model& model; // of the graph
    const graph::Graph& graph;
    const Windows& windows;
    ModelVersion own; // the model's
    ModelVersion planned;
    NormTuningSettings settings = {};
    /// Called with each step's number, from 0, and the KLD of its windows in front of it.
    std::function<void(std::int64_t step, double kld)> onStep = {};
};

/// Units of progress are announced. Refused where the plan rounds activations: that has no gradient.
Result<std::vector<RepairedTensor>> tuneNorms(const NormTuningTask& task, std::span<const Norm> norms,
                                              const JobContext& context);

} // namespace ql
