// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/validation_work.h"

#include "core/sensitivity/plan_prediction.h"
#include "views/text/format.h"

#include <algorithm>
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

Result<std::optional<ValidationPoint>> scoreTokens(const PreparedSource& source, const Portion& portion,
                                                   const ModelVersion& model, const ModelVersion& other,
                                                   JobMailbox<ValidationStep>& steps, const JobContext& context)
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
    QL_TRY(scores, evaluate(task, context));
    return std::optional(pointOf(scores, windows.count()));
}

Result<std::optional<ValidationPoint>> compareOutputs(const PreparedSource& source, const Portion& portion,
                                                      const ModelVersion& model, const ModelVersion& other,
                                                      JobMailbox<ValidationStep>& steps, const JobContext& context)
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
    return std::optional<ValidationPoint>();
}

} // namespace

Result<std::optional<ValidationPoint>> runValidation(const PreparedSource& source, const Portion& portion,
                                                     const ModelVersion& model, const ModelVersion& other,
                                                     JobMailbox<ValidationStep>& steps, const JobContext& context)
{
    const auto work = source.runnable->isLanguageModel ? scoreTokens : compareOutputs;
    QL_TRY(last, work(source, portion, model, other, steps, context));
    QL_CHECK(source.model().checkpoint->checkIntact());
    return last;
}

Result<std::optional<PredictionRecord>> predictedAndMeasured(const MeasuredValidation& validation,
                                                             std::span<const PredictionRecord> records,
                                                             ResultSink* sink, const JobContext& context)
{
    const PreparedSource& source = validation.source;
    QL_TRY(windows, source.text()->windows(validation.portion.length, validation.portion.limit));
    const PlanToPredict task{.model = source.model(),
                             .plan = validation.plan,
                             .target = validation.target,
                             .activations = validation.activations,
                             .runtime = validation.runtime ? std::string(validation.runtime->id) : std::string(),
                             .windows = windows,
                             .text = toPath(source.path).filename().string(),
                             .losses = validation.losses,
                             .lossesName = validation.lossesName};
    const auto of = quantityOf(task);
    if (!of)
        return std::optional<PredictionRecord>();
    double floor = usualFloor(records, *of);
    if (!validation.runtime || std::ranges::find(records, *of, &PredictionRecord::of) == records.end()) {
        QL_TRY(
            run,
            activationFloor(
                {.graph = source.graph(), .windows = windows, .model = validation.model, .onScores = {}, .known = {}},
                validation.other, {}, nullptr, context));
        floor = run;
    }
    QL_TRY(record, predictPlan(task, floor, records, sink, context));
    if (!record || !(record->point.predicted.sum > 0)) // of a plan that changes nothing there is nothing to learn
        return std::optional<PredictionRecord>();
    record->point.measured = validation.measured.kld.value;
    record->point.standardError = validation.measured.kld.error;
    return record;
}

} // namespace ql::views
