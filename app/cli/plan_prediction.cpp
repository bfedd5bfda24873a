// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/plan_prediction.h"

#include "core/base/hash.h"
#include "core/sensitivity/plan_table.h"
#include "core/study/study.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace ql::cli {

std::vector<PredictionRecord> predictionsIn(std::span<const std::string> paths)
{
    std::vector<PredictionRecord> records;
    std::vector<std::string> read;
    for (const std::string& path : paths) {
        if (!path.ends_with(".qloupe") || !std::filesystem::exists(path) || std::ranges::find(read, path) != read.end())
            continue;
        read.push_back(path);
        std::vector<Warning> warnings;
        const auto study = openStudy(path, warnings);
        if (!study)
            continue;
        for (PredictionRecord& record : readPredictions(**study))
            records.push_back(std::move(record));
    }
    return records;
}

nlohmann::ordered_json predictionJson(const Prediction& prediction, std::span<const PredictionRecord> records,
                                      const PredictedQuantity& of)
{
    nlohmann::ordered_json json{{"metric", of.metric},
                                {"unit", kNatsPerToken},
                                {"value", numberOrNull(prediction.value)},
                                {"low", prediction.low},
                                {"high", numberOrNull(prediction.high)},
                                {"level", prediction.level},
                                {"plans_behind", prediction.plans}};
    json["trusted"] = isTrusted(records, of);
    return json;
}

Result<std::optional<PredictionRecord>> predictPlan(Console& console, const PlanToPredict& task, double floor,
                                                    std::span<const PredictionRecord> records, ResultSink* sink)
{
    const Metric& metric = bestMetric(task.activations);
    if (metric.unit != kNatsPerToken)
        return std::optional<PredictionRecord>();
    console.status("predicting the plan by " + std::string(metric.id));
    const JobContext inner(console.context().executor(), console.context().stopToken());
    QL_TRY(
        table,
        measurePlan(
            task.model,
            {.plan = task.plan, .metric = metric, .target = task.target, .activations = task.activations, .sink = sink},
            inner));
    PredictionRecord record;
    record.of = {.metric = std::string(metric.id),
                 .unit = std::string(metric.unit),
                 .runtime = task.runtime,
                 .windows = windowsHash(task.windows, task.scored)};
    record.plan = planHash(task.plan, task.model);
    record.text = task.text;
    record.windowCount = task.windows.count();
    record.point.predicted = predictedSum(table, task.plan);
    record.point.predicted.floor = floor;
    SharesByGroup shares = sharesOf(task.model, table, task.plan);
    record.point.shares = std::move(shares.shares);
    record.groups = std::move(shares.groups);
    record.expected = lossModelOf(records, record.of, record.plan, record.groups)
                          .predict(record.point.predicted, 0, record.point.shares);
    record.wasPredicted = true;
    return std::optional(std::move(record));
}

std::string windowsHash(const Windows& windows, Scored scored)
{
    Hasher hasher;
    hasher.add(std::as_bytes(std::span(windows.ids)));
    const std::array<std::int64_t, 2> cut{windows.length, static_cast<std::int64_t>(scored)};
    hasher.add(std::as_bytes(std::span(cut)));
    return hasher.hex();
}

} // namespace ql::cli
