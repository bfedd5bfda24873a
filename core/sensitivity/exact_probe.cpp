// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/exact_probe.h"

#include "core/base/hash.h"
#include "core/base/sum.h"
#include "core/model/evaluation/head_scores.h"
#include "core/realize/planned_version.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace ql {

namespace {

using graph::Graph;
using graph::Values;

/// As they are kept, one behind the other, each a number a window.
constexpr std::array kFigures{&MeasuredChange::kld, &MeasuredChange::nllChange, &MeasuredChange::logitSquares,
                              &MeasuredChange::logitErrors};

class Probing {
public:
    Probing(const ExactProbeTask& task, const std::function<void(const MeasuredChange&)>& deliver,
            const JobContext& context)
        : m_task(task), m_graph(task.graph), m_deliver(deliver), m_context(context), m_own(ownVersion(task.model))
    {}

    Result<void> run()
    {
        QL_TRY(perWindow, scoredPerWindow(m_task.windows.length, m_task.scored));
        m_perWindow = perWindow;
        std::vector<std::size_t> open;
        for (std::size_t change = 0; change < m_task.changes.size(); ++change)
            if (auto known = find(change))
                m_deliver(*known);
            else
                open.push_back(change);
        if (open.empty())
            return {};
        std::int64_t units = std::ssize(m_graph.segments);
        for (const std::size_t change : open)
            units += std::ssize(m_graph.segments) - static_cast<std::int64_t>(firstSegment(change));
        m_context.progress().addTotal(units * m_task.windows.count());
        QL_CHECK(runModel());
        for (const std::size_t change : open)
            QL_CHECK(measure(change));
        return {};
    }

private:
    /// The hidden states of the model before each segment, by groups of windows.
    Result<void> runModel()
    {
        QL_CHECK(m_context.checkMemory(exactProbeBytes(m_task), "the hidden states of the model"));
        for (std::int64_t first = 0; first < m_task.windows.count(); first += m_task.windows.perGroup()) {
            const auto ids = m_task.windows.group(first);
            const std::int64_t count = std::ssize(ids) / m_task.windows.length;
            graph::Array<std::int64_t> tokens({count, m_task.windows.length});
            std::ranges::copy(ids, tokens.write());
            Values<float> values;
            values[m_graph.inputs.front()].integers = std::move(tokens);
            std::vector<Values<float>>& entering = m_entering.emplace_back();
            for (std::size_t segment = 0; segment < m_graph.segments.size(); ++segment) {
                entering.push_back(values);
                if (segment + 1 < m_graph.segments.size())
                    QL_CHECK(forward(m_own, segment, values));
                m_context.progress().addDone(count);
            }
        }
        return m_task.model.checkpoint->checkIntact();
    }

    Result<void> forward(const ModelVersion& version, std::size_t segment, Values<float>& values) const
    {
        QL_TRY(weights, graph::loadWeights<float>(m_graph, m_graph.segments[segment], *version.weights, m_context));
        return graph::forward(m_graph, m_graph.segments[segment], weights, values, m_context, version.options(true));
    }

    std::size_t firstSegment(std::size_t change) const
    {
        const auto isChanged = [&](std::int64_t layer) {
            return std::ranges::any_of(m_task.changes[change], [&](const auto& it) { return it.first == layer; });
        };
        std::size_t segment = 0;
        while (segment + 1 < m_graph.segments.size() && !std::ranges::any_of(m_graph.layersOf(segment), isChanged))
            ++segment;
        return segment;
    }

    Result<void> measure(std::size_t change)
    {
        Plan plan = keepPlan(m_task.model);
        for (const auto& [layer, candidate] : m_task.changes[change])
            plan.candidates[static_cast<std::size_t>(layer)] = candidate;
        QL_TRY(version,
               plannedVersion(m_task.model, {.plan = &plan, .target = m_task.target, .activations = m_task.activations},
                              m_context));
        std::vector<TokenScore> scores;
        std::vector<LogitDifference> differences;
        const std::size_t begin = firstSegment(change);
        for (std::size_t group = 0; group < m_entering.size(); ++group) {
            const std::int64_t firstWindow = static_cast<std::int64_t>(group) * m_task.windows.perGroup();
            const std::int64_t count = std::ssize(m_task.windows.group(firstWindow)) / m_task.windows.length;
            Values<float> values = m_entering[group][begin];
            for (std::size_t segment = begin; segment + 1 < m_graph.segments.size(); ++segment) {
                QL_CHECK(forward(version, segment, values));
                m_context.progress().addDone(count);
            }
            QL_TRY(own, ScoringHead::of(m_graph, m_own, m_entering[group].back(), m_context));
            QL_TRY(other, ScoringHead::of(m_graph, version, values, m_context));
            QL_CHECK(
                scoreGroup(m_task.windows, firstWindow, m_task.scored, own, &other, scores, m_context, &differences));
            m_context.progress().addDone(count);
        }
        QL_CHECK(m_task.model.checkpoint->checkIntact());
        return finish(change, scores, differences);
    }

    Result<void> finish(std::size_t change, const std::vector<TokenScore>& scores,
                        const std::vector<LogitDifference>& differences)
    {
        MeasuredChange measured{
            .change = change,
            .kld = windowMeans(scores.size(), [&](std::size_t i) { return scores[i].kld; }),
            .nllChange = windowMeans(scores.size(), [&](std::size_t i) { return scores[i].otherNll - scores[i].nll; }),
            .logitSquares = windowMeans(scores.size(), [&](std::size_t i) { return differences[i].squares; }),
            .logitErrors = windowMeans(scores.size(), [&](std::size_t i) { return differences[i].errors; })};
        if (m_task.sink) {
            std::vector<double> values;
            for (const auto figure : kFigures)
                values.insert(values.end(), (measured.*figure).begin(), (measured.*figure).end());
            QL_CHECK(m_task.sink->keep(keyOf(change), std::as_bytes(std::span(values))));
        }
        m_deliver(measured);
        return {};
    }

    /// Of so many scored tokens' values.
    template<typename Value>
    std::vector<double> windowMeans(std::size_t tokens, const Value& value) const
    {
        std::vector<double> means;
        const auto perWindow = static_cast<std::size_t>(m_perWindow);
        for (std::size_t first = 0; first < tokens; first += perWindow) {
            CompensatedSum sum;
            for (std::size_t i = first; i < first + perWindow; ++i)
                sum.add(value(i));
            means.push_back(sum.value() / static_cast<double>(m_perWindow));
        }
        return means;
    }

    std::optional<MeasuredChange> find(std::size_t change) const
    {
        const auto bytes = m_task.sink ? m_task.sink->find(keyOf(change)) : std::nullopt;
        const auto windows = static_cast<std::size_t>(m_task.windows.count());
        std::vector<double> values(kFigures.size() * windows);
        if (!bytes || bytes->size() != values.size() * sizeof(double))
            return std::nullopt;
        std::memcpy(values.data(), bytes->data(), bytes->size());
        MeasuredChange measured{.change = change, .kld = {}, .nllChange = {}, .logitSquares = {}, .logitErrors = {}};
        auto from = values.begin();
        for (const auto figure : kFigures) {
            (measured.*figure).assign(from, from + static_cast<std::ptrdiff_t>(windows));
            from += static_cast<std::ptrdiff_t>(windows);
        }
        return measured;
    }

    std::string keyOf(std::size_t change) const
    {
        Hasher hasher;
        const auto add = [&](std::string_view text) {
            hasher.add(std::to_string(text.size()) + ":");
            hasher.add(text);
        };
        add("exact probe 2");
        add(m_task.model.checkpoint->fingerprint());
        add(m_task.target ? m_task.target->id : "");
        add(m_task.activations ? m_task.activations->fingerprint() : "");
        for (const auto& [layer, candidate] : m_task.changes[change]) {
            add(m_task.model.layers[static_cast<std::size_t>(layer)].name);
            add(printCandidate(candidate));
        }
        const std::array<std::int64_t, 2> settings{m_task.windows.length, static_cast<std::int64_t>(m_task.scored)};
        hasher.add(std::as_bytes(std::span(settings)));
        hasher.add(std::as_bytes(std::span(m_task.windows.ids)));
        return "exact_probe/" + hasher.hex();
    }

    const ExactProbeTask& m_task;
    const Graph& m_graph;
    const std::function<void(const MeasuredChange&)>& m_deliver;
    const JobContext& m_context;
    ModelVersion m_own;
    std::int64_t m_perWindow = 0;                       // scored tokens
    std::vector<std::vector<Values<float>>> m_entering; // [group][segment]
};

} // namespace

WindowMean noiseToSignal(const MeasuredChange& measured)
{
    return ratioOf(measured.logitErrors, measured.logitSquares);
}

WindowMean coupling(const std::vector<double>& together, const std::vector<const std::vector<double>*>& alone)
{
    std::vector<double> differences = together;
    for (std::size_t i = 0; i < differences.size(); ++i)
        for (const std::vector<double>* each : alone)
            differences[i] -= (*each)[i];
    return meanOf(differences);
}

std::int64_t exactProbeBytes(const ExactProbeTask& task)
{
    const auto hidden = static_cast<std::int64_t>(task.model.configNumber("hidden_size").value_or(0));
    return 4 * std::ssize(task.windows.ids) * hidden * std::ssize(task.graph.segments);
}

Result<void> probeExactly(const ExactProbeTask& task, const std::function<void(const MeasuredChange&)>& deliver,
                          const JobContext& context)
{
    if (task.graph.inputs.empty())
        return refused("takes no tokens, so it has no perplexity");
    return Probing(task, deliver, context).run();
}

} // namespace ql
