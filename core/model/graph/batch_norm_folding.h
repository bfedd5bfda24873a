// SPDX-License-Identifier: GPL-3.0-or-later
// A batch norm behind a layer is part of that layer: with f = weight / √(variance + epsilon) per output channel,
// W'[o, …] = W[o, …]·f[o] and b'[o] = (b[o] − mean[o])·f[o] + bias[o] give the same outputs without it. Computed in
// double. For rewriting a model before it is quantized, as runtimes that fold see it; what a model computes needs none.
// Source: Jacob et al. 2018, section 3.2.
#pragma once

#include "core/model/graph/graph.h"

namespace ql::graph {

/// The inputs 1 to 4 of a batch_norm node and its epsilon; one number for each channel.
struct BatchNorm {
    std::vector<double> weight, bias, mean, variance;
    double epsilon = 1e-5;
};

struct FoldedLayer {
    Array<double> weights;
    std::vector<double> bias;
};

/// Folds into W[out, …] and b[out] (empty: zeros), which have as many outputs as the norm has channels.
FoldedLayer fold(const BatchNorm& norm, const Array<double>& weights, const std::vector<double>& bias);

/// The conv or linear node whose output the batch_norm node `norm` reads, and nobody else; nothing if there is none. A
/// linear node's outputs are the channels where its input is [batch, features].
std::optional<std::size_t> foldsInto(const Graph& graph, std::size_t norm);

} // namespace ql::graph
