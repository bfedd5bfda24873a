// SPDX-License-Identifier: GPL-3.0-or-later
// How far a version of a language model is from the model itself, KLD(p ‖ q) = Σ p·(ln p − ln q) in nats, p being the
// model's probabilities of the next token and q the version's, and its gradient with respect to weights of the version:
// of the logits it is q − p (Hinton et al., Distilling the knowledge in a neural network, 2015, section 2). Every
// position of a window counts. Equal bits for any thread count on one CPU.
#pragma once

#include "core/model/evaluation/layer_gradients.h"
#include "core/model/evaluation/windows.h"
#include "core/model/graph/run.h"

namespace ql {

/// What enters the model's head at every position of every window, from which logits are made again at a small part of
/// the cost. Memory: one hidden state a token, and the head's weights.
template<typename T>
class HeadStates {
public:
    /// Runs the model once over the windows. Refers to the graph.
    static Result<HeadStates> of(const graph::Graph& graph, const graph::WeightSource& weights, const Windows& windows,
                                 const JobContext& context);
    /// [1, rows, vocabulary] at positions [first, first + rows) of a window.
    Result<graph::Array<T>> logits(std::int64_t window, std::int64_t first, std::int64_t rows,
                                   const JobContext& context) const;
    std::int64_t windows() const { return std::ssize(m_hidden); }
    std::int64_t positions(std::int64_t window) const { return m_hidden[static_cast<std::size_t>(window)].rows(); }
    /// Units of progress that of() takes; the caller announces them.
    static std::int64_t units(const graph::Graph& graph, std::int64_t windows)
    {
        return windows * std::ssize(graph.segments);
    }

private:
    explicit HeadStates(const graph::Graph& graph) : m_graph(&graph) {}
    const graph::Graph* m_graph;
    graph::Values<T> m_weights; // of the head
    graph::ValueId m_input = graph::kLeftOut;
    std::vector<graph::Array<T>> m_hidden; // of each window
};

/// Mean over all positions of the windows that both are of, nats per token. Errors where logits are not finite.
template<typename T>
Result<double> meanDivergence(const HeadStates<T>& model, const HeadStates<T>& version, const JobContext& context);

template<typename T>
struct DivergenceTask {
    const graph::Graph& graph;
    const graph::WeightSource& weights; // of the version
    const HeadStates<T>& model;
    const Windows& windows;                 // that the states are of
    std::vector<std::int64_t> chosen;       // which of the windows
    std::vector<std::int64_t> layers;       // whose gradients are asked for
    std::vector<LayerRows> rowFactors = {}; // other layers, of which those of ln f of a factor f on each row are
};

struct DivergenceGradient {
    double kld = 0;               // mean, nats per token
    std::vector<double> gradient; // ∂kld/∂w: layer after layer as the task names them, each row-major; ∂kld/∂ln f
};

/// Takes gradientUnits() of the chosen windows (loss_gradients.h). Errors where logits are not finite.
template<typename T>
Result<DivergenceGradient> divergenceGradient(const DivergenceTask<T>& task, const JobContext& context);

} // namespace ql
