// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/validation_work.h"

#include "core/model/evaluation/evaluate.h"

#include <utility>

namespace ql::views {

namespace {

/// A point for every window since the last call; `perWindow` scores each.
Result<void> putPoints(JobMailbox<ValidationStep>& steps, const std::vector<TokenScore>& scores, std::int64_t perWindow,
                       std::int64_t from, std::int64_t to, const JobContext& context)
{
    for (std::int64_t windows = from + 1; windows <= to; ++windows) {
        QL_CHECK(context.checkStop());
        steps.put(pointOf({scores.begin(), scores.begin() + windows * perWindow}, windows));
    }
    return {};
}

Result<void> scoreTokens(const PreparedSource& source, const Portion& portion, const ModelVersion& model,
                         const ModelVersion& other, JobMailbox<ValidationStep>& steps, const JobContext& context)
{
    QL_TRY(windows, source.text()->windows(portion.length, portion.limit));
    std::int64_t through = 0;
    EvaluationTask task{
        .graph = source.graph(), .windows = windows, .model = model, .other = &other, .onScores = {}, .known = {}};
    const std::int64_t perWindow = windows.length - firstScored(windows.length, task.scored);
    task.onScores = [&](const std::vector<TokenScore>& scores, std::int64_t count) {
        const std::int64_t from = std::exchange(through, count);
        return putPoints(steps, scores, perWindow, from, count, context);
    };
    QL_CHECK(evaluate(task, context));
    return {};
}

Result<void> compareOutputs(const PreparedSource& source, const Portion& portion, const ModelVersion& model,
                            const ModelVersion& other, JobMailbox<ValidationStep>& steps, const JobContext& context)
{
    QL_TRY(cases, source.comparisonCases(portion));
    QL_CHECK(evaluateCases({.graph = source.graph(),
                            .cases = cases,
                            .model = model,
                            .other = &other,
                            .onScore =
                                [&](const OutputsScore& score, std::int64_t count) {
                                    steps.put(OutputsPoint{count, score});
                                }},
                           context));
    return {};
}

} // namespace

Result<void> runValidation(const PreparedSource& source, const Portion& portion, const ModelVersion& model,
                           const ModelVersion& other, JobMailbox<ValidationStep>& steps, const JobContext& context)
{
    const auto work = source.runnable->isLanguageModel ? scoreTokens : compareOutputs;
    QL_CHECK(work(source, portion, model, other, steps, context));
    return source.model().checkpoint->checkIntact();
}

} // namespace ql::views
