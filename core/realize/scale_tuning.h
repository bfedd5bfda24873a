// SPDX-License-Identifier: GPL-3.0-or-later
// Scales of a plan by their gradient: gains of norms (and biases of LayerNorm), factors of rows of quantized layers, or
// both are moved down the gradient of the mean KLD(model ‖ plan) per token on windows of text, while all codes stay as
// they are. Each value of a norm moves in units of the size of its gain, w = w₀ + s·θ, s the larger of |offset + w₀|
// and a tenth of the root mean square over the norm; a factor is f = e^θ. θ by Adam (Kingma and Ba, 2015) with β = 0.9,
// 0.99 in double, on a few windows a step in an order drawn from the seed, at a rate that rises over the first tenth of
// the steps and falls along a cosine to 0. Scales are rounded to their coding only at the end, by whoever takes the
// factors.
// Sources: Li et al., Norm Tweaking, AAAI 2024 (gains); Kim et al., PEQA, NeurIPS 2023 (scales of rows, codes fixed);
// Hubara et al., CalibTIP, ICML 2021, section 3.4 (KL to the model's outputs). Memory: a hidden state of each token
// beside what loss_gradients.h says; the plan's weights are asked for in each step, so that a source that holds them
// (held_weights.h) saves most of the time; one layer's at a time are multiplied. Equal bits for any thread count on one
// CPU.
#pragma once

#include "core/model/evaluation/layer_gradients.h"
#include "core/model/evaluation/version.h"
#include "core/model/evaluation/windows.h"
#include "core/realize/norms.h"

#include <optional>

namespace ql {

enum class TunedScales { norms, rows, both };

struct ScaleTuningSettings {
    std::int64_t steps = 40;
    std::int64_t batch = 4;          // windows a step
    std::optional<double> rate = {}; // of θ
    std::uint64_t seed = 1;
    TunedScales scales = TunedScales::norms;
    std::int64_t check = 0; // steps between checks; 0: none

    /// Where none is given 0.01 for norms alone, 0.0005 with factors of rows: those of models with 10⁸ weights diverge
    /// at 0.005.
    double usedRate() const { return rate.value_or(scales == TunedScales::norms ? 0.01 : 0.0005); }
};

struct ScaleTuningTask {
    const Model& model; // of the graph
    const graph::Graph& graph;
    const Windows& windows;
    ModelVersion own; // the model's
    ModelVersion planned;
    ScaleTuningSettings settings = {};
    /// Where checks say which values are kept: in front of the first step, each so many steps and at the end, those
    /// with the least KLD here. Without checks the last are.
    Windows checked = {};
    /// Called with each step's number, from 0, and the KLD of its windows in front of it.
    std::function<void(std::int64_t step, double kld)> onStep = {};
};

struct TuningCheck {
    std::int64_t steps = 0; // done
    double kld = 0;         // nats per token
};

struct TunedValues {
    std::vector<RepairedTensor> tensors;    // gains and biases
    std::vector<RepairedTensor> rowFactors; // of the planned weights
    std::int64_t keptSteps = 0;             // behind which these are
    std::vector<TuningCheck> checks;
};

/// Moves all that is given, whatever the settings say of it. Units of progress are announced. Refused where the plan
/// rounds activations: that has no gradient.
Result<TunedValues> tuneScales(const ScaleTuningTask& task, std::span<const Norm> norms,
                               std::span<const LayerRows> rows, const JobContext& context);

} // namespace ql
