// SPDX-License-Identifier: GPL-3.0-or-later
// Bias correction: quantizing W to Ŵ moves the mean of a layer's output by E[(Ŵ − W)·x]; its bias takes that back,
//   b'_o = b_o − Σ_i (Ŵ − W)_oi·E[x_i],
// with the means of calibration. Of linear layers and convolutions whose bias the checkpoint stores and nothing else
// uses. The result is a model like any other, over a checkpoint that gives the changed biases in float32: what is
// restored, validated and exported takes it as it is, and files round the biases to the type they have. Ŵ is what the
// target's runtime restores, or float32.
// Sources: Nagel et al., Data-Free Quantization through Weight Equalization and Bias Correction, ICCV 2019,
// section 4.2; Finkelstein et al., Fighting Quantization Bias With Bias, 2019.
#pragma once

#include "core/calibration/activations.h"
#include "core/model/graph/graph.h"
#include "core/plan/target.h"

namespace ql {

struct CorrectedBias {
    std::int64_t layer = -1; // whose weights are quantized
    std::int64_t bias = -1;
    double rms = 0;        // of b
    double correction = 0; // root mean square of b' − b
};

struct BiasCorrection {
    std::shared_ptr<const Model> model; // layers as in the one it is made of
    std::vector<CorrectedBias> corrected;
    std::vector<Warning> notes; // planned layers whose bias was not corrected and why; not those without one
};

/// Realizes every planned layer that has a bias once. Refused where the means of no such layer are known.
Result<BiasCorrection> correctBiases(const std::shared_ptr<const Model>& model, const graph::Graph& graph,
                                     const Plan& plan, const TargetProfile* target, const Activations& activations,
                                     const JobContext& context);

} // namespace ql
