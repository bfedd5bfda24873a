// SPDX-License-Identifier: GPL-3.0-or-later
// Gradients of a language model's loss with respect to the weights of its layers, window by window. Windows go forward
// segment after segment, keeping only what enters each segment; then backward, each segment computed once more. Memory
// holds one segment's weights, the activations of one window in it, and the hidden states of all windows before each
// segment; at the head the gradient of one window's logits, made a slice of tokens at a time. Equal bits for any thread
// count on one CPU.
#pragma once

#include "core/model/evaluation/labels.h"
#include "core/model/evaluation/weight_use.h"
#include "core/model/graph/run.h"

namespace ql {

/// Takes the gradients, segments from the last to the first, in each all windows in order.
template<typename T>
class GradientSink {
public:
    virtual ~GradientSink() = default;
    /// Whether the gradient of the layer's weights is asked for where that segment uses them. Segments before the first
    /// with a wanted layer are not run backward.
    virtual bool wants(std::size_t segment, std::int64_t layer) const = 0;
    /// Whether WeightUse::output is asked for with it.
    virtual bool wantsOutput(std::int64_t) const { return false; }
    virtual Result<void> enter(std::size_t segment) = 0;
    /// What is added next is of this window, an index into the text's.
    virtual void turnTo(std::int64_t) {}
    /// Everything one window adds to the gradient of a wanted layer in this segment.
    virtual Result<void> add(std::int64_t layer, std::span<const WeightUse<T>> uses) = 0;
    virtual Result<void> leave(std::size_t segment) = 0;
};

template<typename T>
struct LossGradientTask {
    const graph::Graph& graph; // with inputs[0] tokens and outputs[0] logits, the last segment rowwise
    const graph::WeightSource& weights;
    const Windows& windows;
    std::int64_t first = 0; // of the windows
    std::int64_t count = 0;
    Labels<T> labels;
    /// Another loss, instead of labels: turns the logits of positions [first, first + rows) of a window into its
    /// gradient with respect to them.
    std::function<Result<void>(std::int64_t window, std::int64_t first, graph::Array<T>& logits)> toGradient = {};
};

/// Units of progress that windows take; the caller announces them.
std::int64_t gradientUnits(const graph::Graph& graph, std::int64_t windows);

/// Hands the gradients of each window's loss, Σ over its positions of −ln p(label) unless the task has another, to the
/// sink. An error where logits are not finite.
template<typename T>
Result<void> lossGradients(const LossGradientTask<T>& task, GradientSink<T>& sink, const JobContext& context);

} // namespace ql
