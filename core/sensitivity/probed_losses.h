// SPDX-License-Identifier: GPL-3.0-or-later
// From what probes measured to a table of losses (core/plan/layer_losses.h), and what is worth to be measured next.
#pragma once

#include "core/plan/layer_losses.h"
#include "core/sensitivity/exact_probe.h"
#include "core/sensitivity/gradient_probe.h"
#include "core/sensitivity/layer_groups.h"
#include "core/sensitivity/pooled_losses.h"

namespace ql {

/// The metric by which cells of the gradient probe are pooled with those of like layers; null if the activations admit
/// none that rests on gradients.
const Metric* probePredictor(const Activations* activations);

/// What the task's probe says of each cell, in order: with drawn labels the KLD, steadied over layers of one role
/// under one candidate (pooled_losses.h); with labels of the text the size of the slope.
std::vector<PooledLoss> pooledLosses(const GradientProbeTask& task, std::span<const ProbedCell> cells);

/// The cells that are allowed and whose error is known, as complete candidates.
LayerLosses tableOf(const GradientProbeTask& task, std::span<const ProbedCell> cells,
                    std::span<const PooledLoss> losses);

/// A cell that the exact probe may run.
struct ExactCell {
    LayerGroup group;
    std::size_t column = 0; // of the request's candidates
    Candidate candidate;    // that one; of a single layer complete
    LayerChange change;     // of a group those layers that may
    double worth = 0;       // loss × standard error, loss² where nothing was drawn; 0 where no table knows it
};

struct ExactCellsRequest {
    const Model& model;
    std::vector<LayerGroup> groups;
    std::span<const Candidate> candidates;
    const TargetProfile* target = nullptr;
    const Activations* activations = nullptr;
    std::span<const LayerLosses> known = {}; // of a cell that several have the most telling evidence counts
    bool skipsMeasured = true;               // single layers whose loss was measured by running them
};

/// Groups × candidates that change something, the most valuable first.
std::vector<ExactCell> exactCells(const ExactCellsRequest& request);

/// Of each layer alone.
std::vector<LayerGroup> singleLayers(const Model& model, std::span<const std::int64_t> layers);

/// The KLD of a cell of a single layer; `tokens` were scored in a window.
LayerLoss exactLoss(const ExactCell& cell, const MeasuredChange& measured, std::int64_t tokens);

} // namespace ql
