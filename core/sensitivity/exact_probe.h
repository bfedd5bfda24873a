// SPDX-License-Identifier: GPL-3.0-or-later
// What changing some layers alone (one, a group, a block, all of a role) does to a language model, by running it: the
// mean over scored tokens of KLD from the model, of what is added to −ln p of the text's tokens (the logarithm of
// perplexity), and of the error of the logits, window by window. The hidden states of the model before
// each segment are kept, so that of each change only what lies behind its first layer is run. Finished changes are kept
// under keys of their own: a run that is stopped or killed continues. Equal bits for any thread count on one CPU.
// Two changes together show how they act on each other: loss(a, b) − loss(a) − loss(b), the off-diagonal term that a
// sum over layers leaves out.
// Sources: Wang et al., Q-VLM, NeurIPS 2024, section 3.2 (cross-layer dependency); Zhao et al., MixDQ, ECCV 2024,
// section 4.2 (a metric of their own for each group of layers: SQNR of the output where content stays).
#pragma once

#include "core/jobs/result_sink.h"
#include "core/model/evaluation/scores.h"
#include "core/model/evaluation/windows.h"
#include "core/model/graph/graph.h"
#include "core/plan/target.h"
#include "core/sensitivity/window_mean.h"

#include <functional>

namespace ql {

class Activations;

/// Layers and what they become, complete.
using LayerChange = std::vector<std::pair<std::int64_t, Candidate>>;

struct ExactProbeTask {
    const Model& model;
    const graph::Graph& graph; // with inputs[0] tokens and outputs[0] logits, the last segment rowwise
    const Windows& windows;
    std::vector<LayerChange> changes;      // measured in this order
    const TargetProfile* target = nullptr; // restores codes as its runtime does; null: to float32
    const Activations* activations = nullptr;
    Scored scored = Scored::secondHalf;
    ResultSink* sink = nullptr;
};

/// Means over the scored tokens of each window, nats per token.
struct MeasuredChange {
    std::size_t change = 0; // index into the task's
    std::vector<double> kld;
    std::vector<double> nllChange;                 // −ln q + ln p
    std::vector<double> logitSquares, logitErrors; // Σ x² and Σ (y − x)² over the vocabulary, not nats: means, too
};

/// Σ (y − x)² / Σ x² of the logits over all windows, 1/SQNR; the error is the ratio's, from the spread of windows.
WindowMean noiseToSignal(const MeasuredChange& measured);

/// Of loss(all together) − Σ loss(each alone), paired window by window.
WindowMean coupling(const std::vector<double>& together, const std::vector<const std::vector<double>*>& alone);

/// Bytes of the hidden states that are kept.
std::int64_t exactProbeBytes(const ExactProbeTask& task);

/// Delivers each change as it is ready, on the calling thread.
Result<void> probeExactly(const ExactProbeTask& task, const std::function<void(const MeasuredChange&)>& deliver,
                          const JobContext& context);

} // namespace ql
