// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/evaluate.h"

#include "core/model/evaluation/head_scores.h"

#include <algorithm>
#include <optional>

namespace ql {

namespace {

using graph::Array;
using graph::Values;

/// One version on its way through the graph.
struct Runner {
    const graph::Graph& graph;
    const ModelVersion& version;
    Values<float> values;

    Result<void> segment(const graph::Segment& segment, const JobContext& context)
    {
        QL_TRY(weights, graph::loadWeights<float>(graph, segment, *version.weights, context));
        return graph::forward(graph, segment, weights, values, context, version.options(true));
    }
    Result<ScoringHead> head(const JobContext& context) const
    {
        return ScoringHead::of(graph, version, values, context);
    }
};

} // namespace

Result<std::vector<TokenScore>> evaluate(const EvaluationTask& task, const JobContext& context)
{
    if (task.graph.inputs.empty())
        return refused("takes no tokens, so it has no perplexity");
    const std::int64_t length = task.windows.length;
    QL_TRY(perWindow, scoredPerWindow(length, task.scored));
    const auto body = std::span(task.graph.segments).first(task.graph.segments.size() - 1);
    std::vector<TokenScore> scores = task.known;
    const std::int64_t begin = std::ssize(scores) / perWindow;
    context.progress().addTotal((task.windows.count() - begin) * std::ssize(task.graph.segments));
    for (std::int64_t first = begin; first < task.windows.count(); first += task.windows.perGroup()) {
        const auto ids = task.windows.group(first);
        const std::int64_t count = std::ssize(ids) / length;
        Array<std::int64_t> tokens({count, length});
        std::ranges::copy(ids, tokens.write());
        std::vector<Runner> runners{{task.graph, task.model, {}}};
        if (task.other)
            runners.push_back({task.graph, *task.other, {}});
        for (Runner& runner : runners)
            runner.values[task.graph.inputs.front()].integers = tokens;
        const bool isKnown = task.reference && task.reference->groups.contains(first);
        if (isKnown)
            runners.front().values = task.reference->groups.at(first);
        for (const graph::Segment& segment : body) {
            for (std::size_t i = isKnown ? 1 : 0; i < runners.size(); ++i)
                QL_CHECK(runners[i].segment(segment, context));
            context.progress().addDone(count);
        }
        if (task.reference && !isKnown)
            task.reference->groups.emplace(first, runners.front().values);
        QL_TRY(model, runners.front().head(context));
        std::optional<ScoringHead> other;
        if (task.other) {
            QL_TRY(made, runners.back().head(context));
            other.emplace(std::move(made));
        }
        QL_CHECK(scoreGroup(task.windows, first, task.scored, model, other ? &*other : nullptr, scores, context));
        context.progress().addDone(count);
        if (task.onScores)
            QL_CHECK(task.onScores(scores, first + count));
    }
    return scores;
}

} // namespace ql
