// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/outputs.h"

#include "core/base/sum.h"
#include "core/jobs/parallel.h"
#include "core/model/evaluation/not_finite.h"
#include "core/model/evaluation/row_difference.h"
#include "core/model/graph/vector_math.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ql {

namespace {

using graph::Array;
using graph::Values;

constexpr std::int64_t kTop = 5;

struct Named {
    std::string name;
    Array<float> values;
};

/// The mean of hidden states over the tokens that are no padding.
Result<Array<float>> meanOverTokens(const Array<float>& hidden, const Array<std::int64_t>& mask,
                                    const JobContext& context)
{
    const std::int64_t batch = hidden.shape()[0];
    const std::int64_t tokens = hidden.shape()[1];
    const std::int64_t width = hidden.width();
    Array<float> means({batch, width});
    float* const to = means.write();
    QL_CHECK(parallelFor(context, batch, 1, [&](std::int64_t b, std::int64_t) {
        std::vector<double> sums(static_cast<std::size_t>(width), 0.0);
        std::int64_t count = 0;
        for (std::int64_t t = b * tokens; t < (b + 1) * tokens; ++t) {
            if (mask.numel() == batch * tokens && mask.data()[t] == 0)
                continue;
            ++count;
            for (std::int64_t c = 0; c < width; ++c)
                sums[static_cast<std::size_t>(c)] += static_cast<double>(hidden.data()[t * width + c]);
        }
        std::ranges::transform(sums, to + b * width, [&](double sum) {
            return static_cast<float>(sum / static_cast<double>(std::max<std::int64_t>(1, count)));
        });
    }));
    return means;
}

/// What one version makes of the inputs, as far as it is real numbers.
Result<std::vector<Named>> outputsOf(const graph::Graph& graph, const ModelVersion& version, Values<float> values,
                                     const JobContext& context)
{
    Array<std::int64_t> mask;
    for (const graph::ValueId id : graph.inputs)
        if (graph.values[static_cast<std::size_t>(id)].name == "attention_mask")
            if (const auto given = values.find(id); given != values.end())
                mask = given->second.integers;
    QL_CHECK(graph::forwardAll(graph, *version.weights, values, context, version.options(true)));
    std::vector<Named> outputs;
    for (const graph::ValueId id : graph.outputs) {
        const std::string& name = graph.values[static_cast<std::size_t>(id)].name;
        const Array<float>& made = values.at(id).real;
        if (!made)
            continue;
        outputs.push_back({name, made});
        if (name == "hidden" && made.shape().size() == 3) {
            QL_TRY(embedding, meanOverTokens(made, mask, context));
            outputs.push_back({"embedding", std::move(embedding)});
        }
    }
    return outputs;
}

RowMean meanOf(double sum, double squares, std::int64_t rows)
{
    if (rows < 1)
        return {};
    const auto n = static_cast<double>(rows);
    const double mean = sum / n;
    const double variance = std::max(0.0, squares / n - mean * mean);
    return {mean, rows > 1 ? std::sqrt(variance / (n - 1)) : 0};
}
RowMean shareOf(std::int64_t hits, std::int64_t rows)
{
    return meanOf(static_cast<double>(hits), static_cast<double>(hits), rows);
}

OutputScore scoreOf(std::string name, const RowDifference& sums)
{
    const RowMean distance = meanOf(static_cast<double>(sums.rows) - sums.cosines, sums.distanceSquares, sums.rows);
    return {.name = std::move(name),
            .rows = sums.rows,
            .sqnrDb =
                sums.errors > 0 ? 10 * std::log10(sums.squares / sums.errors) : std::numeric_limits<double>::infinity(),
            .cosine = {1 - distance.value, distance.error},
            .leastCosine = sums.leastCosine};
}

/// Sums over the rows with an answer.
struct Answers {
    CompensatedSum loss, squares;
    std::int64_t count = 0, top1 = 0, top5 = 0;

    void add(const float* row, std::int64_t width, std::int64_t answer)
    {
        const double nll = graph::logSumExp(row, width) - static_cast<double>(row[answer]);
        loss.add(nll);
        squares.add(nll * nll);
        const auto better = std::count_if(row, row + width, [&](float x) { return x > row[answer]; });
        const auto equalBefore = std::count(row, row + answer, row[answer]);
        const std::int64_t place = better + equalBefore;
        ++count;
        top1 += place == 0 ? 1 : 0;
        top5 += place < kTop ? 1 : 0;
    }
    void merge(const Answers& next)
    {
        loss.merge(next.loss);
        squares.merge(next.squares);
        count += next.count;
        top1 += next.top1;
        top5 += next.top5;
    }
    AnswerScore score() const
    {
        return {count, meanOf(loss.value(), squares.value(), count), shareOf(top1, count), shareOf(top5, count)};
    }
};

Result<void> addAnswers(const OutputBatch& batch, const Array<float>& logits, Answers& answers,
                        const JobContext& context)
{
    const std::int64_t width = logits.width();
    if (batch.answers.empty())
        return {};
    if (std::ssize(batch.answers) != logits.rows())
        return usageError("there are " + std::to_string(batch.answers.size()) + " answers for " +
                          std::to_string(logits.rows()) + " rows of logits; give one for each");
    if (const auto most = *std::ranges::max_element(batch.answers); most >= width)
        return badInput("answer " + std::to_string(most) + " is none of " + std::to_string(width) +
                        " the model chooses from");
    QL_TRY(sums, deterministicReduce(
                     context, logits.rows(), graph::rowGrain(width), Answers(),
                     [&](std::int64_t begin, std::int64_t end) {
                         Answers part;
                         for (std::int64_t r = begin; r < end; ++r)
                             if (const auto answer = batch.answers[static_cast<std::size_t>(r)]; answer >= 0)
                                 part.add(logits.data() + r * width, width, answer);
                         return part;
                     },
                     [](Answers& into, const Answers& next) { into.merge(next); }));
    answers.merge(sums);
    return std::isfinite(answers.loss.value()) ? Result<void>() : Result<void>(notFinite("logits"));
}

/// How many rows of both have the same largest column.
Result<std::int64_t> rowsWithSameTop(const Array<float>& x, const Array<float>& y, const JobContext& context)
{
    const std::int64_t width = x.width();
    return deterministicReduce(
        context, x.rows(), graph::rowGrain(width), std::int64_t{0},
        [&](std::int64_t begin, std::int64_t end) {
            std::int64_t same = 0;
            for (std::int64_t r = begin; r < end; ++r)
                same += graph::largest(x.data() + r * width, width) == graph::largest(y.data() + r * width, width);
            return same;
        },
        [](std::int64_t& into, std::int64_t next) { into += next; });
}

/// Of each output, in the order in which they come.
class Differences {
public:
    Result<void> add(const Named& model, const Named& other, const JobContext& context)
    {
        const Array<float>& x = model.values;
        const Array<float>& y = other.values;
        if (x.shape() != y.shape())
            return badInput("the output '" + model.name + "' has the shape " + formatShape(x.shape()) +
                            " in one version and " + formatShape(y.shape()) +
                            " in the other: it follows from values, and cannot be compared");
        QL_TRY(sums, rowDifference(x, y, context));
        if (!std::isfinite(sums.squares) || !std::isfinite(sums.errors))
            return notFinite("elements of the output '" + model.name + "'");
        auto found = std::ranges::find(m_sums, model.name, &Entry::first);
        if (found == m_sums.end())
            found = m_sums.insert(found, {model.name, {}});
        found->second.add(sums);
        if (model.name != "logits")
            return {};
        QL_TRY(same, rowsWithSameTop(x, y, context));
        m_sameTop += same;
        m_rows += x.rows();
        return {};
    }
    std::vector<OutputScore> scores() const
    {
        std::vector<OutputScore> scores;
        for (const auto& [name, sums] : m_sums)
            scores.push_back(scoreOf(name, sums));
        return scores;
    }
    RowMean sameTop() const { return shareOf(m_sameTop, m_rows); }

private:
    using Entry = std::pair<std::string, RowDifference>;
    std::vector<Entry> m_sums;
    std::int64_t m_rows = 0, m_sameTop = 0;
};

Error nothingToCompare()
{
    return usageError(
        "there is nothing to compare with: give another version of the model (a plan, a runtime, a scheme "
        "of keys and values), or answers (labels; text, to a model with a mask token and a head)");
}

} // namespace

Result<OutputsScore> evaluateOutputs(const OutputsTask& task, const JobContext& context)
{
    Differences differences;
    Answers own, others;
    const auto score = [&] {
        return OutputsScore{.outputs = differences.scores(),
                            .model = own.score(),
                            .other = others.score(),
                            .sameTop = differences.sameTop()};
    };
    context.progress().addTotal(task.batches);
    for (std::int64_t i = 0; i < task.batches; ++i) {
        QL_TRY(batch, task.batch(i));
        if (!task.other && batch.answers.empty())
            return nothingToCompare();
        QL_TRY(made, outputsOf(task.graph, task.model, batch.inputs, context));
        std::vector<Named> other;
        if (task.other) {
            QL_TRY(theirs, outputsOf(task.graph, *task.other, batch.inputs, context));
            other = std::move(theirs);
            if (made.empty())
                return refused("has no outputs of real numbers, so there is no distance between two versions");
        }
        for (std::size_t o = 0; o < made.size(); ++o) {
            const bool isLogits = made[o].name == "logits";
            if (isLogits)
                QL_CHECK(addAnswers(batch, made[o].values, own, context));
            if (!task.other)
                continue;
            QL_CHECK(differences.add(made[o], other[o], context));
            if (isLogits)
                QL_CHECK(addAnswers(batch, other[o].values, others, context));
        }
        if (task.onScore)
            task.onScore(score(), i + 1);
        context.progress().addDone(1);
    }
    if (!task.other && own.count == 0)
        return nothingToCompare();
    return score();
}

} // namespace ql
