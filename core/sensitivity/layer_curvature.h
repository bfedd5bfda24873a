// SPDX-License-Identifier: GPL-3.0-or-later
// What the Hessian of the mean loss per token says of each layer, kept as its figures
// (core/calibration/layer_figures.h):
//   trace, trace_error  Hutchinson's estimate and its standard error
//   mean_curvature      trace / n, n weights
//   top_eigenvalue      that of largest magnitude, of all windows
//   eigenvalue_mean, eigenvalue_std   mean and population standard deviation over equal runs of the windows
//   eigenvalue_spread   |mean| + std
// Or the first three alone, of all layers by the same probes: the layers' blocks beside each other, whose mean over
// probes is 0, add to their errors, and as many passes as one layer takes are enough for all.
// Sources: Dong et al., HAWQ-V2, NeurIPS 2020; Shen et al., Q-BERT, AAAI 2020 (there ten random tenths of the data).
#pragma once

#include "core/calibration/layer_figures.h"
#include "core/model/evaluation/hessian.h"
#include "core/sensitivity/curvature.h"

#include <functional>

namespace ql {

struct CurvatureSettings {
    std::int64_t probes = 100;    // for the trace, at most
    double tolerance = 1e-3;      // of trace and eigenvalue
    std::int64_t iterations = 20; // for an eigenvalue, at most
    std::int64_t subsets = 1;     // runs of windows, each with an eigenvalue of its own; at most as many as windows
    std::uint64_t seed = 1;
    bool together = false; // traces alone, of all layers by the same probes
};

struct LayerCurvature {
    std::int64_t layer = 0;
    std::int64_t weights = 0;
    TraceEstimate trace;
    std::vector<TopEigenvalue> top; // of each subset, vectors dropped
    bool isKept = false;            // was found in the sink: only what figures hold is filled in
    LayerFigures figures;
};

struct CurvatureTask {
    const Model& model;
    const graph::Graph& graph;
    const graph::WeightSource& weights;
    const Windows& windows;
    std::vector<std::int64_t> layers;
    CurvatureSettings settings;
    ResultSink* sink = nullptr; // layers that have figures of the same text and settings are not run again
    std::function<void(const LayerCurvature&)> onLayer; // as each is ready
    std::function<void(std::int64_t)> onProbe = {};     // as each of all layers begins
};

/// Passes forward and backward over the windows that a layer, or all layers together, take at most.
std::int64_t curvaturePasses(const CurvatureSettings& settings);

/// |mean| + population standard deviation.
double eigenvalueSpread(std::span<const double> eigenvalues);

/// Layer after layer, or probe after probe of all; a run that was stopped continues with those that the sink lacks.
/// Equal bits for any thread count on one CPU, with and without a sink.
Result<void> measureCurvature(const CurvatureTask& task, const JobContext& context);

} // namespace ql
