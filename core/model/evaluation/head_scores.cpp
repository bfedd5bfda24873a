// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/head_scores.h"

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

LogitDifference differenceOf(const float* logits, const float* other, std::int64_t vocabulary)
{
    LogitDifference sums;
    for (std::int64_t i = 0; i < vocabulary; ++i) {
        const auto x = static_cast<double>(logits[i]);
        const double error = static_cast<double>(other[i]) - x;
        sums.squares += x * x;
        sums.errors += error * error;
    }
    return sums;
}

} // namespace

Result<ScoringHead> ScoringHead::of(const graph::Graph& graph, const ModelVersion& version, const Values<float>& values,
                                    const JobContext& context)
{
    QL_TRY(weights, graph::loadWeights<float>(graph, graph.segments.back(), *version.weights, context));
    QL_TRY(id, headInput(graph, values));
    return ScoringHead(graph, version, std::move(weights), id, values.at(id).real);
}

Result<Array<float>> ScoringHead::logits(std::span<const std::int64_t> rows, const JobContext& context) const
{
    Array<float> chosen({1, std::ssize(rows), m_hidden.width()});
    float* to = chosen.write();
    for (const std::int64_t row : rows)
        to = std::copy_n(m_hidden.data() + row * m_hidden.width(), m_hidden.width(), to);
    Values<float> values;
    values[m_id].real = std::move(chosen);
    QL_CHECK(graph::forward(*m_graph, m_graph->segments.back(), m_weights, values, context, m_version->options(false)));
    return values.at(m_graph->outputs.front()).real;
}

Result<void> scoreGroup(const Windows& windows, std::int64_t firstWindow, Scored scored, const ScoringHead& model,
                        const ScoringHead* other, std::vector<TokenScore>& scores, const JobContext& context,
                        std::vector<LogitDifference>* differences)
{
    const std::int64_t length = windows.length;
    const auto ids = windows.group(firstWindow);
    std::vector<std::int64_t> rows; // whose next token is scored
    for (std::int64_t i = 1; i < std::ssize(ids); ++i)
        if (i % length >= firstScored(length, scored))
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
        if (differences)
            differences->resize(scores.size());
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
            const std::size_t at = first + static_cast<std::size_t>(i);
            scores[at] = *score;
            if (differences && otherLogits)
                (*differences)[at] =
                    differenceOf(logits.data() + i * vocabulary, otherLogits.data() + i * vocabulary, vocabulary);
            return Result<void>();
        }));
    }
    return {};
}

} // namespace ql
