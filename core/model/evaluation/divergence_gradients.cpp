// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/divergence_gradients.h"

#include "core/base/sum.h"
#include "core/model/evaluation/head_input.h"
#include "core/model/evaluation/not_finite.h"
#include "core/model/graph/vector_math.h"

#include <cmath>

namespace ql {

namespace {

using graph::Array;
using graph::Values;

template<typename T>
Values<T> tokensOf(const graph::Graph& graph, const Windows& windows, std::int64_t window)
{
    Array<std::int64_t> tokens({1, windows.length});
    std::ranges::copy(windows.window(window), tokens.write());
    Values<T> values;
    values[graph.inputs.front()].integers = std::move(tokens);
    return values;
}

double divergenceOf(const float* x, double xLog, const float* y, double yLog, std::int64_t n)
{
    return graph::divergence(x, xLog, y, yLog, n);
}
double divergenceOf(const double* x, double xLog, const double* y, double yLog, std::int64_t n)
{
    CompensatedSum sum;
    for (std::int64_t i = 0; i < n; ++i)
        sum.add(std::exp(x[i] - xLog) * ((x[i] - xLog) - (y[i] - yLog)));
    return sum.value();
}

constexpr std::int64_t kRows = 128; // logits at a time

/// At one position, given both logits.
template<typename T>
Result<double> divergenceAt(const T* model, const T* version, std::int64_t vocabulary, std::int64_t window,
                            std::int64_t position)
{
    const double modelSum = graph::logSumExp(model, vocabulary);
    const double versionSum = graph::logSumExp(version, vocabulary);
    if (!std::isfinite(modelSum) || !std::isfinite(versionSum))
        return notFinite("the logits behind token " + std::to_string(position + 1) + " of window " +
                         std::to_string(window + 1));
    return divergenceOf(model, modelSum, version, versionSum, vocabulary);
}

template<typename T>
Result<void> checkSameWidth(const Array<T>& model, const Array<T>& version)
{
    if (model.numel() != version.numel())
        return refused("has other logits than the model: " + std::to_string(version.width()) + " tokens, not " +
                       std::to_string(model.width()));
    return {};
}

} // namespace

template<typename T>
Result<HeadStates<T>> HeadStates<T>::of(const graph::Graph& graph, const graph::WeightSource& weights,
                                        const Windows& windows, const JobContext& context)
{
    if (graph.inputs.empty() || graph.segments.empty())
        return refused("takes no tokens, so it has no divergence");
    HeadStates states(graph);
    std::vector<Values<T>> values;
    for (std::int64_t w = 0; w < windows.count(); ++w)
        values.push_back(tokensOf<T>(graph, windows, w));
    const std::size_t head = graph.segments.size() - 1;
    for (std::size_t segment = 0; segment < head; ++segment) {
        QL_TRY(own, graph::loadWeights<T>(graph, graph.segments[segment], weights, context));
        for (Values<T>& window : values) {
            QL_CHECK(graph::forward(graph, graph.segments[segment], own, window, context));
            context.progress().addDone(1);
        }
    }
    for (const Values<T>& window : values) {
        QL_TRY(input, headInput(graph, window));
        states.m_input = input;
        states.m_hidden.push_back(window.at(input).real);
        context.progress().addDone(1);
    }
    QL_TRY(own, graph::loadWeights<T>(graph, graph.segments[head], weights, context));
    states.m_weights = std::move(own);
    return states;
}

template<typename T>
Result<Array<T>> HeadStates<T>::logits(std::int64_t window, std::int64_t first, std::int64_t rows,
                                       const JobContext& context) const
{
    const Array<T>& hidden = m_hidden[static_cast<std::size_t>(window)];
    Array<T> slice({1, rows, hidden.width()});
    std::copy_n(hidden.data() + first * hidden.width(), slice.numel(), slice.write());
    Values<T> values;
    values[m_input].real = std::move(slice);
    QL_CHECK(graph::forward(*m_graph, m_graph->segments.back(), m_weights, values, context));
    return values.at(m_graph->outputs.front()).real;
}

template<typename T>
Result<double> meanDivergence(const HeadStates<T>& model, const HeadStates<T>& version, const JobContext& context)
{
    CompensatedSum total;
    std::int64_t tokens = 0;
    for (std::int64_t w = 0; w < model.windows(); ++w)
        for (std::int64_t first = 0; first < model.positions(w); first += kRows) {
            const std::int64_t rows = std::min(kRows, model.positions(w) - first);
            QL_TRY(p, model.logits(w, first, rows, context));
            QL_TRY(q, version.logits(w, first, rows, context));
            QL_CHECK(checkSameWidth(p, q));
            std::vector<double> klds(static_cast<std::size_t>(rows));
            QL_CHECK(parallelFor(context, rows, 1, [&](std::int64_t r, std::int64_t) -> Result<void> {
                QL_TRY(kld, divergenceAt(p.data() + r * p.width(), q.data() + r * q.width(), p.width(), w, first + r));
                klds[static_cast<std::size_t>(r)] = kld;
                return {};
            }));
            for (const double kld : klds)
                total.add(kld);
            tokens += rows;
        }
    return tokens > 0 ? total.value() / static_cast<double>(tokens) : 0.0;
}

template<typename T>
Result<DivergenceGradient> divergenceGradient(const DivergenceTask<T>& task, const JobContext& context)
{
    Windows chosen{.length = task.windows.length, .ids = {}};
    for (const std::int64_t window : task.chosen)
        chosen.ids.insert(chosen.ids.end(), task.windows.window(window).begin(), task.windows.window(window).end());
    const std::int64_t tokens = chosen.count() * chosen.length;
    std::vector<double> klds(static_cast<std::size_t>(tokens)); // of each position
    const auto toGradient = [&](std::int64_t w, std::int64_t first, Array<T>& logits) -> Result<void> {
        const std::int64_t window = task.chosen[static_cast<std::size_t>(w)];
        QL_TRY(model, task.model.logits(window, first, logits.rows(), context));
        QL_CHECK(checkSameWidth(model, logits));
        const std::int64_t vocabulary = logits.width();
        T* const q = logits.write();
        T* const p = model.write();
        return parallelFor(context, logits.rows(), 1, [&](std::int64_t r, std::int64_t) -> Result<void> {
            T* const own = q + r * vocabulary;
            T* const its = p + r * vocabulary;
            QL_TRY(kld, divergenceAt(its, own, vocabulary, window, first + r));
            klds[static_cast<std::size_t>(w * chosen.length + first + r)] = kld;
            graph::softmax(own, vocabulary);
            graph::softmax(its, vocabulary);
            for (std::int64_t v = 0; v < vocabulary; ++v)
                own[v] -= its[v];
            return {};
        });
    };
    QL_TRY(places, gradientPlaces(task.weights, task.layers, context, task.rowFactors));
    LayerGradientSum<T> sum(places, context);
    QL_CHECK(lossGradients<T>({task.graph, task.weights, chosen, 0, chosen.count(), {}, toGradient}, sum, context));
    DivergenceGradient result;
    CompensatedSum total;
    for (const double kld : klds)
        total.add(kld);
    const double perToken = 1 / static_cast<double>(tokens);
    result.kld = total.value() * perToken;
    result.gradient = sum.take();
    for (double& value : result.gradient)
        value *= perToken;
    return result;
}

#define QL_DIVERGENCE(T)                                                                                               \
    template class HeadStates<T>;                                                                                      \
    template Result<double> meanDivergence<T>(const HeadStates<T>&, const HeadStates<T>&, const JobContext&);          \
    template Result<DivergenceGradient> divergenceGradient<T>(const DivergenceTask<T>&, const JobContext&);
QL_DIVERGENCE(float)
QL_DIVERGENCE(double)
#undef QL_DIVERGENCE

} // namespace ql
