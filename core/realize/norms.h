// SPDX-License-Identifier: GPL-3.0-or-later
// The norms of a graph whose gains can be changed without changing anything else: RMSNorm, LayerNorm, BatchNorm. Their
// weights stay as they are under every plan, cost nothing beside those that are quantized, and reach every channel of
// what layers behind them see: a place to take back what quantizing did.
#pragma once

#include "core/model/graph/graph.h"
#include "core/model/model.h"

namespace ql {

struct Norm {
    std::size_t node = 0;
    std::int64_t gain = -1; // layers
    std::int64_t bias = -1; // −1: it has none
    double offset = 0;      // what is multiplied with is offset + gain
    std::int64_t channels = 0;
};

struct Norms {
    std::vector<Norm> norms;    // in the order of the graph
    std::vector<Warning> notes; // those left out and why
};

Norms normsOf(const Model& model, const graph::Graph& graph);

/// Other values of a gain or a bias, or factors of a layer's rows.
struct RepairedTensor {
    std::int64_t layer = -1;
    std::vector<float> values;
};

/// The model with them.
std::shared_ptr<const Model> withRepairedTensors(const Model& model, std::span<const RepairedTensor> tensors,
                                                 std::span<const RepairedTensor> rowFactors = {});

/// Of a layer, as doubles.
Result<std::vector<double>> vectorOf(const Model& model, std::int64_t layer, const JobContext& context);

} // namespace ql
