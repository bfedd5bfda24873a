// SPDX-License-Identifier: GPL-3.0-or-later
// A sensitivity metric measures what a candidate does to a layer, or how much a layer matters whatever its candidate.
// One line in metrics.def and one file add a metric.
#pragma once

#include "core/calibration/activations.h"
#include "core/jobs/result_sink.h"
#include "core/plan/cost_table.h"

#include <functional>

namespace ql {

struct TensorStatistics; // core/analysis/statistics.h

/// What a metric is made of, besides the weights and their codes.
/// Of XᵀX its diagonal, or all; the Fisher diagonal; with it the loss-weighted XᵀX of a layer at least; figures of a
/// run of its own (core/calibration/layer_figures.h): of the depth, the Hessian's traces, its eigenvalues.
enum class MetricNeeds { nothing, diagonal, gram, fisher, lossGram, depth, curvature, eigenvalues };
std::string_view word(MetricNeeds needs);
Evidence evidenceOf(MetricNeeds needs);
/// One that layers have where that is known; empty where it is no figure.
std::string_view figureFor(MetricNeeds needs);

/// A layer, whatever its candidate.
struct LayerInput {
    const Model& model;
    std::int64_t layer;
    const TensorView& weights;
    const ActivationStatistics* activations; // null if none
    const FisherDiagonal* fisher;            // null if none
    const Activations* known = nullptr;      // figures of layers; null if none

    /// Moments of the weights: computed when a metric first asks for them, then at hand for all. One thread at a time.
    Result<std::shared_ptr<const TensorStatistics>> statistics(const JobContext& context) const;
    mutable std::shared_ptr<const TensorStatistics> computed = nullptr; // by statistics()
};

struct MetricInput {
    const Model& model;
    std::int64_t layer;
    const TensorView& weights;
    const QuantizedTensor& quantized;
    const ErrorStats& error;                 // already measured
    const ActivationStatistics* activations; // null if none
    const FisherDiagonal* fisher;            // null if none
    double ofLayer = 0;                      // what the metric's own ofLayer() said
};

/// A metric of candidates has `measure`. One of layers has only `ofLayer`, the larger the more the layer matters or as
/// `importance` says; its loss of a candidate is importance × NMSE, NMSE = Σ(w − ŵ)² / Σw² of that candidate: published
/// as a rank of layers, it tells candidates apart by their error alone.
struct Metric {
    std::string_view id;      // "weight_error", "output_error"
    std::string_view title;   // "Squared weight error (not KLD)"
    std::string_view unit;    // "weight²"
    std::string_view formula; // "Σ (w − ŵ)²"
    std::string_view source;
    MetricNeeds needs;
    Result<double> (*measure)(const MetricInput& input, const JobContext& context) = nullptr;
    /// Once for all candidates: a layer's own value, or what measure() divides by. NaN where it is not known.
    Result<double> (*ofLayer)(const LayerInput& input, const JobContext& context) = nullptr;
    /// Of a value of ofLayer(), not negative; null: the value itself.
    double (*importance)(double value) = nullptr;
    /// Shown for comparison and taken when it is asked for, never by default.
    bool isProxy = false;
    /// Takes much longer than the codes it judges (a factorization of XᵀX): the window measures it once it is chosen.
    bool isSlow = false;

    bool judgesLayers() const { return measure == nullptr; }
    double importanceOf(double value) const { return importance ? importance(value) : value; }
};

std::span<const Metric* const> allMetrics();
Result<const Metric*> findMetric(std::string_view id);
/// The last of them that can be computed and is no proxy: they are in the order of what they tell.
const Metric& bestMetric(const Activations* activations);
/// An error that names the mend unless the activations (null: none) hold what the metric needs, of some layer.
Result<void> checkUsable(const Metric& metric, const Activations* activations);

/// One measured cell, delivered as it is ready.
struct Measurement {
    std::int64_t layer = 0;
    std::size_t candidate = 0;
    ErrorStats error;
    std::vector<double> losses; // one per requested metric; NaN where what it needs is lacking
    bool allowed = true;
    /// One per requested metric: what ofLayer() said; NaN of one that has none, and of keep.
    std::vector<double> ofLayer = {};
};

struct MeasureRequest {
    std::vector<std::int64_t> layers;
    std::vector<Candidate> candidates;
    std::vector<const Metric*> metrics;    // null: a place whose losses stay NaN
    const TargetProfile* target = nullptr; // completes and refuses candidates
    const Activations* activations = nullptr;
    ResultSink* sink = nullptr; // finished cells are found there and kept there, if given
};

/// Measures layers × candidates, one pass over each layer's weights; calls deliver from worker threads, one call at a
/// time, per finished cell.
Result<void> measure(const Model& model, const MeasureRequest& request,
                     const std::function<void(const Measurement&)>& deliver, const JobContext& context);

/// Assembles measurements into a table of items; an item's loss is the sum over its layers.
CostTable makeCostTable(const Model& model, const MeasureRequest& request, std::size_t metric,
                        const std::vector<Measurement>& cells);

} // namespace ql
