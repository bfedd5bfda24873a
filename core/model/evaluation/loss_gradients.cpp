// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/loss_gradients.h"

#include "core/model/evaluation/head_input.h"
#include "core/model/evaluation/not_finite.h"
#include "core/model/graph/vector_math.h"

#include <cmath>
#include <set>

namespace ql {

namespace {

using graph::Array;
using graph::Gradients;
using graph::Node;
using graph::ValueId;
using graph::Values;

constexpr std::int64_t kHeadRows = 128; // logits at a time
// Units of progress of a segment: forward, and forward once more with the gradients of activations and of weights.
constexpr std::int64_t kForward = 1;
constexpr std::int64_t kBackward = 3;

template<typename T>
class Pass {
public:
    Pass(const LossGradientTask<T>& task, GradientSink<T>& sink, const JobContext& context)
        : m_task(task), m_graph(task.graph), m_sink(sink), m_context(context), m_lowest(lowestWanted())
    {}

    Result<void> run()
    {
        const std::size_t segments = m_graph.segments.size();
        if (m_lowest == segments)
            return {};
        QL_CHECK(goForward());
        for (std::size_t segment = segments; segment-- > m_lowest;)
            QL_CHECK(goBackward(segment));
        m_context.progress().addDone(m_task.count * kBackward * static_cast<std::int64_t>(m_lowest)); // not needed
        return {};
    }

private:
    using LayerUses = std::map<std::int64_t, std::vector<WeightUse<T>>>;

    std::size_t lowestWanted() const
    {
        std::size_t segment = 0;
        const auto isWanted = [&](std::int64_t layer) { return m_sink.wants(segment, layer); };
        while (segment < m_graph.segments.size() && !std::ranges::any_of(m_graph.layersOf(segment), isWanted))
            ++segment;
        return segment;
    }

    Result<void> goForward()
    {
        const std::int64_t length = m_task.windows.length;
        std::vector<Values<T>> windows(static_cast<std::size_t>(m_task.count));
        for (std::size_t w = 0; w < windows.size(); ++w) {
            Array<std::int64_t> tokens({1, length});
            std::ranges::copy(m_task.windows.window(m_task.first + static_cast<std::int64_t>(w)), tokens.write());
            windows[w][m_graph.inputs.front()].integers = std::move(tokens);
        }
        m_entering.resize(m_graph.segments.size());
        for (std::size_t segment = 0; segment + 1 < m_graph.segments.size(); ++segment) {
            if (segment >= m_lowest)
                m_entering[segment] = windows;
            QL_TRY(weights, graph::loadWeights<T>(m_graph, m_graph.segments[segment], m_task.weights, m_context));
            for (Values<T>& window : windows) {
                QL_CHECK(graph::forward(m_graph, m_graph.segments[segment], weights, window, m_context));
                m_context.progress().addDone(kForward);
            }
        }
        m_entering.back() = std::move(windows);
        m_gradients.resize(static_cast<std::size_t>(m_task.count));
        return {};
    }

    Result<void> goBackward(std::size_t segment)
    {
        QL_CHECK(m_sink.enter(segment));
        m_unfactored = unfactoredLayers(segment);
        QL_TRY(weights, graph::loadWeights<T>(m_graph, m_graph.segments[segment], m_task.weights, m_context));
        const bool isHead = segment + 1 == m_graph.segments.size();
        for (std::size_t w = 0; w < m_gradients.size(); ++w) {
            Values<T> values = std::exchange(m_entering[segment][w], {});
            LayerUses uses;
            QL_CHECK(isHead ? head(w, weights, values, uses) : back(segment, weights, values, w, uses));
            values.clear();
            m_sink.turnTo(m_task.first + static_cast<std::int64_t>(w));
            for (const auto& [layer, parts] : uses)
                QL_CHECK(m_sink.add(layer, parts));
            m_context.progress().addDone(isHead ? kForward + kBackward : kBackward);
        }
        return m_sink.leave(segment);
    }

    /// A segment forward once more, everything kept, and backward.
    Result<void> back(std::size_t segment, const Values<T>& weights, Values<T>& values, std::size_t w, LayerUses& uses)
    {
        QL_CHECK(graph::forward(m_graph, m_graph.segments[segment], weights, values, m_context, keepingAll()));
        return graph::backward(m_graph, m_graph.segments[segment], weights, values, m_gradients[w], m_context,
                               collecting(segment, weights, values, uses));
    }

    /// The head a slice of tokens at a time; the slices' uses add up to the window's.
    Result<void> head(std::size_t w, const Values<T>& weights, const Values<T>& entering, LayerUses& uses)
    {
        QL_TRY(id, headInput(m_graph, entering));
        const std::size_t segment = m_graph.segments.size() - 1;
        const Array<T>& hidden = entering.at(id).real;
        Array<T> hiddenGradient(hidden.shape());
        for (std::int64_t begin = 0; begin < hidden.rows(); begin += kHeadRows) {
            const std::int64_t rows = std::min(kHeadRows, hidden.rows() - begin);
            const std::int64_t width = hidden.width();
            Values<T> values;
            Array<T> slice({1, rows, width});
            std::copy_n(hidden.data() + begin * width, rows * width, slice.write());
            values[id].real = std::move(slice);
            QL_CHECK(graph::forward(m_graph, m_graph.segments[segment], weights, values, m_context, keepingAll()));
            Gradients<T> gradients;
            QL_TRY(made, logitGradient(w, begin, values.at(m_graph.outputs.front()).real));
            gradients[m_graph.outputs.front()] = std::move(made);
            QL_CHECK(graph::backward(m_graph, m_graph.segments[segment], weights, values, gradients, m_context,
                                     collecting(segment, weights, values, uses)));
            std::copy_n(gradients.at(id).data(), rows * width, hiddenGradient.write() + begin * width);
        }
        m_gradients[w][id] = std::move(hiddenGradient);
        return {};
    }

    /// Of −ln p(label): p, less 1 at the label; or of the task's own loss.
    Result<Array<T>> logitGradient(std::size_t w, std::int64_t firstPosition, Array<T> logits) const
    {
        if (m_task.toGradient) {
            QL_CHECK(m_task.toGradient(m_task.first + static_cast<std::int64_t>(w), firstPosition, logits));
            return logits;
        }
        const std::int64_t vocabulary = logits.width();
        T* rows = logits.write();
        QL_CHECK(parallelFor(m_context, logits.rows(), 1, [&](std::int64_t r, std::int64_t) -> Result<void> {
            T* p = rows + r * vocabulary;
            graph::softmax(p, vocabulary);
            if (!std::isfinite(p[0])) // then none is
                return notFinite("the logits behind token " + std::to_string(firstPosition + r + 1) + " of window " +
                                 std::to_string(m_task.first + static_cast<std::int64_t>(w) + 1));
            const std::int64_t label = m_task.labels(m_task.first + static_cast<std::int64_t>(w), firstPosition + r,
                                                     std::span<const T>(p, static_cast<std::size_t>(vocabulary)));
            if (label >= vocabulary)
                return badInput("token " + std::to_string(label) + " is not in a vocabulary of " +
                                std::to_string(vocabulary));
            if (label < 0)
                std::fill_n(p, vocabulary, T{0});
            else
                p[label] -= T{1};
            return {};
        }));
        return logits;
    }

    static graph::ForwardOptions<T> keepingAll()
    {
        graph::ForwardOptions<T> options;
        options.keepAll = true;
        return options;
    }

    /// Keeps the factors of linear layers and tables, and what other operators make of their weights' gradients.
    graph::BackwardOptions<T> collecting(std::size_t segment, const Values<T>& weights, const Values<T>& values,
                                         LayerUses& uses) const
    {
        graph::BackwardOptions<T> options;
        options.outputGradient = [this, segment, &weights, &values, &uses](const Node& node, std::int64_t layer,
                                                                           const graph::Value<T>& input,
                                                                           const Array<T>& gradient) {
            if (!m_sink.wants(segment, layer))
                return Result<void>();
            if (auto use = WeightUse<T>::factored(node, input, gradient)) {
                if (node.op->id == "linear" && m_sink.wantsOutput(layer)) {
                    use->output = values.at(node.outputs.front()).real;
                    if (node.inputs.size() > 2 && node.inputs[2] != graph::kLeftOut)
                        use->bias = weights.at(node.inputs[2]).real;
                }
                uses[layer].push_back(std::move(*use));
            }
            return Result<void>();
        };
        options.wantsWeights = [this, segment](std::int64_t layer) {
            return m_unfactored.contains(layer) && m_sink.wants(segment, layer);
        };
        options.weightGradient = [this, &uses](const Node& node, std::int64_t layer, Array<T> gradient) {
            if (!WeightUse<T>::isFactored(*node.op) || layer != m_graph.layerOf(node))
                uses[layer].push_back({.firstRow = 0,
                                       .left = {},
                                       .ids = {},
                                       .right = std::move(gradient),
                                       .input = {},
                                       .outputGradient = {}});
            return Result<void>();
        };
        return options;
    }

    std::set<std::int64_t> unfactoredLayers(std::size_t segment) const
    {
        std::set<std::int64_t> layers;
        for (std::size_t n = m_graph.segments[segment].begin; n < m_graph.segments[segment].end; ++n)
            for (const ValueId id : m_graph.nodes[n].inputs) {
                if (id == graph::kLeftOut)
                    continue;
                const std::int64_t layer = m_graph.values[static_cast<std::size_t>(id)].layer;
                if (!WeightUse<T>::isFactored(*m_graph.nodes[n].op) || layer != m_graph.layerOf(m_graph.nodes[n]))
                    layers.insert(layer);
            }
        return layers;
    }

    const LossGradientTask<T>& m_task;
    const graph::Graph& m_graph;
    GradientSink<T>& m_sink;
    const JobContext& m_context;
    std::size_t m_lowest;                           // first segment with a wanted layer
    std::vector<std::vector<Values<T>>> m_entering; // [segment][window]
    std::vector<Gradients<T>> m_gradients;          // [window], of what leaves the next segment
    std::set<std::int64_t> m_unfactored; // of the segment at hand: all but the matrices of linear nodes and tables
};

} // namespace

std::int64_t gradientUnits(const graph::Graph& graph, std::int64_t windows)
{
    return windows * std::ssize(graph.segments) * (kForward + kBackward);
}

template<typename T>
Result<void> lossGradients(const LossGradientTask<T>& task, GradientSink<T>& sink, const JobContext& context)
{
    return Pass<T>(task, sink, context).run();
}

template Result<void> lossGradients<float>(const LossGradientTask<float>&, GradientSink<float>&, const JobContext&);
template Result<void> lossGradients<double>(const LossGradientTask<double>&, GradientSink<double>&, const JobContext&);

} // namespace ql
