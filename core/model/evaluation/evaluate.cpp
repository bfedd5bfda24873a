// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/evaluate.h"

#include "core/jobs/parallel.h"
#include "core/model/evaluation/head_input.h"
#include "core/model/graph/vector_math.h"

namespace ql {

namespace {

using graph::Array;
using graph::Values;

constexpr std::int64_t kGroupTokens = 4096; // run through a segment together
constexpr std::int64_t kHeadRows = 128;     // logits at a time

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

TokenScore scoreOf(const float* logits, const float* other, std::int64_t vocabulary, std::int64_t next)
{
    TokenScore score;
    const double sum = graph::logSumExp(logits, vocabulary);
    score.nll = score.otherNll = sum - static_cast<double>(logits[next]);
    if (other) {
        const double otherSum = graph::logSumExp(other, vocabulary);
        score.otherNll = otherSum - static_cast<double>(other[next]);
        score.kld = graph::divergence(logits, sum, other, otherSum, vocabulary);
        score.sameTop = graph::largest(logits, vocabulary) == graph::largest(other, vocabulary);
    }
    return score;
}

/// Scores the tokens of a group of windows whose ids are given; appends to `scores`.
Result<void> scoreGroup(const EvaluationTask& task, std::span<const std::int64_t> ids, const Head& model,
                        const Head* other, std::vector<TokenScore>& scores, const JobContext& context)
{
    const std::int64_t length = task.windows.length;
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
            const std::int64_t next = ids[static_cast<std::size_t>(part[static_cast<std::size_t>(i)] + 1)];
            if (next < 0 || next >= vocabulary)
                return Result<void>(badInput("token " + std::to_string(next) + " is not in a vocabulary of " +
                                             std::to_string(vocabulary)));
            scores[first + static_cast<std::size_t>(i)] =
                scoreOf(logits.data() + i * vocabulary, otherLogits ? otherLogits.data() + i * vocabulary : nullptr,
                        vocabulary, next);
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
    const std::int64_t perWindow = length - firstScored(length, task.scored);
    const std::int64_t groupWindows = std::max<std::int64_t>(1, kGroupTokens / length);
    const auto body = std::span(task.graph.segments).first(task.graph.segments.size() - 1);
    std::vector<TokenScore> scores = task.known;
    const std::int64_t begin = std::ssize(scores) / perWindow;
    context.progress().addTotal((task.windows.count() - begin) * std::ssize(task.graph.segments));
    for (std::int64_t first = begin; first < task.windows.count(); first += groupWindows) {
        const std::int64_t count = std::min(groupWindows, task.windows.count() - first);
        const auto ids =
            std::span(task.windows.ids)
                .subspan(static_cast<std::size_t>(first * length), static_cast<std::size_t>(count * length));
        Array<std::int64_t> tokens({count, length});
        std::copy(ids.begin(), ids.end(), tokens.write());
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
        QL_CHECK(scoreGroup(task, ids, model, other ? &*other : nullptr, scores, context));
        context.progress().addDone(count);
        if (task.onScores)
            QL_CHECK(task.onScores(scores, first + count));
    }
    return scores;
}

} // namespace ql
