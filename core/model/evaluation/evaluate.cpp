// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/evaluate.h"

#include "core/jobs/parallel.h"
#include "core/model/evaluation/head_input.h"
#include "core/model/evaluation/not_finite.h"
#include "core/model/graph/vector_math.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace ql {

namespace {

using graph::Array;
using graph::Values;

constexpr std::int64_t kHeadRows = 128; // logits at a time

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
};

/// The head of one version: rows of hidden states in, rows of logits out.
class Head {
public:
    static Result<Head> of(Runner& runner, const JobContext& context)
    {
        const graph::Segment& segment = runner.graph.segments.back();
        QL_TRY(weights, graph::loadWeights<float>(runner.graph, segment, *runner.version.weights, context));
        QL_TRY(id, headInput(runner.graph, runner.values));
        return Head(runner, std::move(weights), id);
    }

    const Array<float>& hidden() const { return m_hidden; }

    Result<Array<float>> logits(std::span<const std::int64_t> rows, const JobContext& context) const
    {
        Array<float> chosen({1, std::ssize(rows), m_hidden.width()});
        float* to = chosen.write();
        for (const std::int64_t row : rows)
            to = std::copy_n(m_hidden.data() + row * m_hidden.width(), m_hidden.width(), to);
        Values<float> values;
        values[m_id].real = std::move(chosen);
        QL_CHECK(
            graph::forward(m_graph, m_graph.segments.back(), m_weights, values, context, m_version.options(false)));
        return values.at(m_graph.outputs.front()).real;
    }

private:
    Head(const Runner& runner, Values<float> weights, graph::ValueId input)
        : m_graph(runner.graph),
          m_version(runner.version),
          m_weights(std::move(weights)),
          m_id(input),
          m_hidden(runner.values.at(input).real)
    {}
    const graph::Graph& m_graph;
    const ModelVersion& m_version;
    Values<float> m_weights;
    graph::ValueId m_id;
    Array<float> m_hidden;
};

/// Nothing where logits are not finite.
std::optional<TokenScore> scoreOf(const float* logits, const float* other, std::int64_t vocabulary, std::int64_t next)
{
    TokenScore score;
    const double sum = graph::logSumExp(logits, vocabulary);
    if (!std::isfinite(sum))
        return std::nullopt;
    score.nll = score.otherNll = sum - static_cast<double>(logits[next]);
    if (other) {
        const double otherSum = graph::logSumExp(other, vocabulary);
        if (!std::isfinite(otherSum))
            return std::nullopt;
        score.otherNll = otherSum - static_cast<double>(other[next]);
        score.kld = graph::divergence(logits, sum, other, otherSum, vocabulary);
        score.sameTop = graph::largest(logits, vocabulary) == graph::largest(other, vocabulary);
    }
    return score;
}

/// Scores the tokens of a group of windows; appends to `scores`.
Result<void> scoreGroup(const EvaluationTask& task, std::int64_t firstWindow, const Head& model, const Head* other,
                        std::vector<TokenScore>& scores, const JobContext& context)
{
    const std::int64_t length = task.windows.length;
    const auto ids = task.windows.group(firstWindow);
    std::vector<std::int64_t> rows; // whose next token is scored
    for (std::int64_t i = 1; i < std::ssize(ids); ++i)
        if (i % length >= firstScored(length, task.scored))
            rows.push_back(i - 1);
    for (std::size_t begin = 0; begin < rows.size(); begin += kHeadRows) {
        const auto part = std::span(rows).subspan(begin, std::min<std::size_t>(kHeadRows, rows.size() - begin));
        QL_TRY(logits, model.logits(part, context));
        Array<float> otherLogits;
        if (other) {
            QL_TRY(made, other->logits(part, context));
            otherLogits = std::move(made);
        }
        const std::int64_t vocabulary = logits.width();
        const std::size_t first = scores.size();
        scores.resize(first + part.size());
        QL_CHECK(parallelFor(context, std::ssize(part), 1, [&](std::int64_t i, std::int64_t) {
            const std::int64_t row = part[static_cast<std::size_t>(i)];
            const std::int64_t next = ids[static_cast<std::size_t>(row + 1)];
            if (next < 0 || next >= vocabulary)
                return Result<void>(badInput("token " + std::to_string(next) + " is not in a vocabulary of " +
                                             std::to_string(vocabulary)));
            const auto score = scoreOf(logits.data() + i * vocabulary,
                                       otherLogits ? otherLogits.data() + i * vocabulary : nullptr, vocabulary, next);
            if (!score)
                return Result<void>(notFinite("the logits behind token " + std::to_string(row % length + 1) +
                                              " of window " + std::to_string(firstWindow + row / length + 1)));
            scores[first + static_cast<std::size_t>(i)] = *score;
            return Result<void>();
        }));
    }
    return {};
}

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
        for (const graph::Segment& segment : body) {
            for (Runner& runner : runners)
                QL_CHECK(runner.segment(segment, context));
            context.progress().addDone(count);
        }
        QL_TRY(model, Head::of(runners.front(), context));
        std::optional<Head> other;
        if (task.other) {
            QL_TRY(made, Head::of(runners.back(), context));
            other.emplace(std::move(made));
        }
        QL_CHECK(scoreGroup(task, first, model, other ? &*other : nullptr, scores, context));
        context.progress().addDone(count);
        if (task.onScores)
            QL_CHECK(task.onScores(scores, first + count));
    }
    return scores;
}

} // namespace ql
