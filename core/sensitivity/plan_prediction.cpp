// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/plan_prediction.h"

#include "core/base/hash.h"
#include "core/model/evaluation/kept_scores.h"
#include "core/sensitivity/plan_table.h"

#include <array>

namespace ql {

std::optional<PredictedQuantity> quantityOf(const PlanToPredict& task)
{
    const Metric& best = bestMetric(task.activations);
    const std::string metric = task.losses ? task.losses->metric : std::string(best.id);
    const std::string unit = task.losses ? task.losses->unit : std::string(best.unit);
    if (unit != kNatsPerToken)
        return std::nullopt;
    return PredictedQuantity{
        .metric = metric, .unit = unit, .runtime = task.runtime, .windows = windowsHash(task.windows, task.scored)};
}

Result<std::optional<PredictionRecord>> predictPlan(const PlanToPredict& task, double floor,
                                                    std::span<const PredictionRecord> records, ResultSink* sink,
                                                    const JobContext& context)
{
    const auto of = quantityOf(task);
    if (!of)
        return std::optional<PredictionRecord>();
    CostTable measured;
    if (!task.losses) {
        const JobContext inner(context.executor(), context.stopToken());
        QL_TRY(its, measurePlan(task.model,
                                {.plan = task.plan,
                                 .metric = bestMetric(task.activations),
                                 .target = task.target,
                                 .activations = task.activations,
                                 .sink = sink},
                                inner));
        measured = std::move(its);
    }
    const CostTable& table = task.losses ? *task.losses : measured;
    PredictionRecord record;
    record.of = *of;
    record.plan = planHash(task.plan, task.model);
    record.text = task.text;
    record.losses = task.lossesName;
    record.windowCount = task.windows.count();
    record.point.predicted = predictedSum(table, task.plan, task.couplings);
    record.point.predicted.floor = floor;
    SharesByGroup shares = sharesOf(task.model, table, task.plan);
    record.point.shares = std::move(shares.shares);
    record.groups = std::move(shares.groups);
    record.expected = lossModelOf(records, record.of, record.plan, record.groups)
                          .predict(record.point.predicted, 0, record.point.shares);
    record.wasPredicted = true;
    return std::optional(std::move(record));
}

Result<double> activationFloor(EvaluationTask task, const ModelVersion& other, const std::string& identity,
                               ResultSink* sink, const JobContext& context)
{
    if (!other.layerInput && !other.keysValues)
        return 0.0;
    ModelVersion rounded = other;
    rounded.weights = task.model.weights;
    task.other = &rounded;
    QL_TRY(scores,
           sink ? evaluateKept(task, "activations alone\n" + identity, *sink, context) : evaluate(task, context));
    return comparisonOf(scores, task.windows.count()).kld.value;
}

std::string windowsHash(const Windows& windows, Scored scored)
{
    Hasher hasher;
    hasher.add(std::as_bytes(std::span(windows.ids)));
    const std::array<std::int64_t, 2> cut{windows.length, static_cast<std::int64_t>(scored)};
    hasher.add(std::as_bytes(std::span(cut)));
    return hasher.hex();
}

} // namespace ql
