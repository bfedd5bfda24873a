// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/outputs.h"

#include "core/base/sum.h"
#include "core/jobs/parallel.h"
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
Array<float> meanOverTokens(const Array<float>& hidden, const Array<std::int64_t>& mask)
{
    const std::int64_t batch = hidden.shape()[0];
    const std::int64_t tokens = hidden.shape()[1];
    const std::int64_t width = hidden.width();
    Array<float> means({batch, width});
    for (std::int64_t b = 0; b < batch; ++b) {
        std::vector<double> sums(static_cast<std::size_t>(width), 0.0);
        std::int64_t count = 0;
        for (std::int64_t t = b * tokens; t < (b + 1) * tokens; ++t) {
            if (mask.numel() == batch * tokens && mask.data()[t] == 0)
                continue;
            ++count;
            for (std::int64_t c = 0; c < width; ++c)
                sums[static_cast<std::size_t>(c)] += static_cast<double>(hidden.data()[t * width + c]);
        }
        std::ranges::transform(sums, means.write() + b * width, [&](double sum) {
            return static_cast<float>(sum / static_cast<double>(std::max<std::int64_t>(1, count)));
        });
    }
    return means;
}

/// What one version makes of the inputs.
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
        outputs.push_back({name, made});
        if (name == "hidden" && made.shape().size() == 3)
            outputs.push_back({"embedding", meanOverTokens(made, mask)});
    }
    return outputs;
}

/// Sums over the rows of one output.
struct Difference {
    CompensatedSum squares, errors, cosines;
    double least = 1;
    std::int64_t rows = 0;

    void add(const Array<float>& x, const Array<float>& y)
    {
        const std::int64_t width = x.width();
        for (std::int64_t r = 0; r < x.rows(); ++r) {
            const float* a = x.data() + r * width;
            const float* b = y.data() + r * width;
            const double aa = graph::dot(a, a, width);
            const double bb = graph::dot(b, b, width);
            for (std::int64_t c = 0; c < width; ++c) {
                const double error = static_cast<double>(a[c]) - static_cast<double>(b[c]);
                errors.add(error * error);
            }
            const bool isZero = aa == 0 || bb == 0;
            const double cosine = isZero ? (aa == bb ? 1 : 0) : graph::dot(a, b, width) / std::sqrt(aa * bb);
            squares.add(aa);
            cosines.add(cosine);
            least = std::min(least, cosine);
        }
        rows += x.rows();
    }
    OutputScore score(std::string name) const
    {
        const double error = errors.value();
        return {.name = std::move(name),
                .rows = rows,
                .sqnrDb =
                    error > 0 ? 10 * std::log10(squares.value() / error) : std::numeric_limits<double>::infinity(),
                .meanCosine = cosines.value() / static_cast<double>(std::max<std::int64_t>(1, rows)),
                .leastCosine = least};
    }
};

/// Sums over the rows with an answer.
struct Answers {
    CompensatedSum loss;
    std::int64_t count = 0, top1 = 0, top5 = 0;

    void add(const float* row, std::int64_t width, std::int64_t answer)
    {
        loss.add(graph::logSumExp(row, width) - static_cast<double>(row[answer]));
        const auto better = std::count_if(row, row + width, [&](float x) { return x > row[answer]; });
        const auto equalBefore = std::count(row, row + answer, row[answer]);
        const std::int64_t place = better + equalBefore;
        ++count;
        top1 += place == 0 ? 1 : 0;
        top5 += place < kTop ? 1 : 0;
    }
    AnswerScore score() const
    {
        const auto n = static_cast<double>(std::max<std::int64_t>(1, count));
        return {count, loss.value() / n, static_cast<double>(top1) / n, static_cast<double>(top5) / n};
    }
};

Result<void> addAnswers(const OutputBatch& batch, const Array<float>& logits, Answers& answers)
{
    const std::int64_t width = logits.width();
    if (batch.answers.empty())
        return {};
    if (std::ssize(batch.answers) != logits.rows())
        return usageError("there are " + std::to_string(batch.answers.size()) + " answers for " +
                          std::to_string(logits.rows()) + " rows of logits; give one for each");
    for (std::int64_t r = 0; r < logits.rows(); ++r) {
        const std::int64_t answer = batch.answers[static_cast<std::size_t>(r)];
        if (answer >= width)
            return badInput("answer " + std::to_string(answer) + " is none of " + std::to_string(width) +
                            " the model chooses from");
        if (answer >= 0)
            answers.add(logits.data() + r * width, width, answer);
    }
    return {};
}

} // namespace

Result<OutputsScore> evaluateOutputs(const OutputsTask& task, const JobContext& context)
{
    std::vector<std::string> names;
    std::map<std::string, Difference> differences;
    Answers own, others;
    std::int64_t rows = 0;
    std::int64_t same = 0;
    context.progress().addTotal(task.batches);
    for (std::int64_t i = 0; i < task.batches; ++i) {
        QL_TRY(batch, task.batch(i));
        QL_TRY(made, outputsOf(task.graph, task.model, batch.inputs, context));
        std::vector<Named> other;
        if (task.other) {
            QL_TRY(theirs, outputsOf(task.graph, *task.other, batch.inputs, context));
            other = std::move(theirs);
        }
        for (std::size_t o = 0; o < made.size(); ++o) {
            QL_CHECK(context.checkStop());
            const Array<float>& x = made[o].values;
            const bool isLogits = made[o].name == "logits";
            if (isLogits)
                QL_CHECK(addAnswers(batch, x, own));
            if (!task.other)
                continue;
            const Array<float>& y = other[o].values;
            if (!differences.contains(made[o].name))
                names.push_back(made[o].name);
            differences[made[o].name].add(x, y);
            if (!isLogits)
                continue;
            QL_CHECK(addAnswers(batch, y, others));
            rows += x.rows();
            for (std::int64_t r = 0; r < x.rows(); ++r)
                same += graph::largest(x.data() + r * x.width(), x.width()) ==
                        graph::largest(y.data() + r * x.width(), x.width());
        }
        context.progress().addDone(1);
    }
    OutputsScore score{.outputs = {}, .model = own.score(), .other = others.score()};
    for (const std::string& name : names)
        score.outputs.push_back(differences.at(name).score(name));
    score.sameTop = rows > 0 ? static_cast<double>(same) / static_cast<double>(rows) : 0;
    return score;
}

} // namespace ql
