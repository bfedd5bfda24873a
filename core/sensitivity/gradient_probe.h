// SPDX-License-Identifier: GPL-3.0-or-later
// What the codes of a candidate do to the divergence of a language model's predictions, from gradients along the very
// change ΔW = Ŵ − W: windows of text go forward and backward with labels drawn from the model, and of the gradient g_s
// of a window's loss the product p_s = ⟨g_s, ΔW⟩ is taken for every layer and candidate in the same pass. To second
// order the layer alone then moves the model by
//   KLD = ½·E[p_s²]/T nats per token, T the scored tokens of a window:
// the whole Fisher matrix, with what rows, columns and tokens have in common, which its diagonal and K-FAC leave out.
// Without bias; p_s is about normal, so S windows know it to √(2/S) of itself. Error feedback makes changes whose parts
// answer each other: only such sums see what it is worth. The windows must not be those of the calibration that codes
// were fitted to: on its own text error feedback looks better than it is. ΔW is held as bfloat16 (a rounding of 2⁻⁹ of
// each element, by itself of no weight beside the sampling).
// A runtime rounds the inputs of layers to a type that fits that of the weights: asked for, what that moves the loss by
// is taken in the same pass (input_rounding.h) and its ½·E[p²]/T stands beside that of the codes. The two errors do not
// know of each other, so the losses add.
// With the text's own tokens for labels the mean of p_s over windows, E[p_s]/T, is what the mean of −ln p of the text
// changes by to first order. Its sign counts, so parts of ΔW that help and parts that harm cancel. At an optimum of
// that text it is 0 whatever ΔW is, and tells nothing: it is for text that the model was not trained to the end on (a
// new domain, a model that was changed since), where it says which layers a change moves along the slope.
// Windows go in batches; after each batch every cell's products are kept under a key of its own, so a run that is
// stopped or killed goes on there, and more windows add to what is known. Equal bits for any thread count on one CPU,
// interrupted or not.
// Source: Amari, Natural gradient works efficiently in learning, 1998; Kunstner et al., Limitations of the empirical
// Fisher approximation, NeurIPS 2019 (labels are drawn, not the text's); of the first order: Molchanov et al., Pruning
// convolutional neural networks for resource efficient inference, ICLR 2017, section 2.2.
#pragma once

#include "core/calibration/calibrate.h"
#include "core/model/evaluation/windows.h"
#include "core/realize/runtime_activations.h"
#include "core/sensitivity/metric.h"

namespace ql {

/// Of the loss: drawn from the model's own predictions, or the text's.
enum class ProbeLabels { drawn, text };

struct GradientProbeSettings {
    std::int64_t windows = 0; // how many, from the first on; 0: all. More can be added later
    Scored scored = Scored::secondHalf;
    ProbeLabels labels = ProbeLabels::drawn;
    std::uint64_t seed = 1;                               // of labels that are drawn
    std::int64_t batchWindows = 32;                       // results are complete after each batch
    std::int64_t codesLimitBytes = std::int64_t{1} << 30; // slow codes are held for later batches up to that
};

/// A layer under a candidate, with the windows so far behind it.
struct ProbedCell {
    std::int64_t layer = 0;
    std::size_t candidate = 0; // column
    bool allowed = true;
    double predicted = 0;              // by the task's metric; NaN if it says nothing of the layer
    std::int64_t tokens = 0;           // T
    std::vector<double> products;      // p_s of each window; empty where the codes change nothing (keep)
    std::vector<double> rounding = {}; // the same of what a runtime does to the inputs; empty where none is asked for

    /// ½·mean(p²)/T, nats per token; 0 without products.
    double loss() const;
    /// Of the loss, from the spread of p²; 0 without products, infinite for one.
    double standardError() const;
    /// The same of the rounding of inputs.
    double roundingLoss() const;
    double roundingError() const;

    /// mean(p)/T, nats per token, with its sign: under labels of the text what −ln p changes by to first order.
    double slope() const;
    /// Of the slope, from the spread of p; 0 without products, infinite for one.
    double slopeError() const;
};

struct GradientProbeTask {
    const Model& model;
    const graph::Graph& graph;
    const graph::WeightSource& weights;
    const Windows& windows;
    std::vector<std::int64_t> layers;
    std::vector<Candidate> candidates;
    const TargetProfile* target = nullptr; // completes and refuses candidates
    const Activations* activations = nullptr;
    const Metric* metric = nullptr;   // also measured on each cell's codes, while they are there
    const Runtime* runtime = nullptr; // whose rounding of inputs counts, too
    GradientProbeSettings settings = {};
    ResultSink* sink = nullptr;
    /// Called after each batch with the number of windows that are through, when its cells are delivered.
    std::function<Result<void>(std::int64_t windows)> onBatch = {};

    std::int64_t count() const
    {
        return settings.windows > 0 ? std::min(settings.windows, windows.count()) : windows.count();
    }
};

/// Work is that of gradients: what quantizers take to choose codes comes on top.
CalibrationCost gradientProbeCost(const GradientProbeTask& task);

/// Delivers every cell after each batch that it was in, on the calling thread; refused ones, those that change nothing
/// and those that are known already at once.
Result<void> probeGradients(const GradientProbeTask& task, const std::function<void(const ProbedCell&)>& deliver,
                            const JobContext& context);

} // namespace ql
