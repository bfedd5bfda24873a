// SPDX-License-Identifier: GPL-3.0-or-later
// KLD of many plans from the model on the same text, each kept in a study as it is measured: what was stopped goes on
// where it was.
#pragma once

#include "app/cli/variant_options.h"
#include "core/model/evaluation/evaluate.h"
#include "core/model/evaluation/scores.h"
#include "core/plan/prediction_records.h"
#include "core/realize/planned_version.h"

namespace ql::cli {

struct MeasuredKld {
    Estimate kld;
    double floor = 0; // of it the rounding of activations takes alone, with the model's own weights
};

struct MeasuringTask {
    const OpenedVariant& opened;
    const graph::Graph& graph; // of opened.model
    const Windows& windows;
    std::string text;                      // name of the file
    const TargetProfile* target = nullptr; // restores codes as its runtime does
    const Runtime* runtime = nullptr;      // plans run with activations rounded as it does; null: as they say
    ResultSink& sink;
};

/// Runs one plan after the other; not for several threads at once. Refers to the task's parts and the context.
class PlanMeasurer {
public:
    PlanMeasurer(MeasuringTask task, const JobContext& context);
    ~PlanMeasurer();

    /// The floor is run once for plans that round the inputs of all layers alike.
    Result<MeasuredKld> measure(const Plan& plan);
    /// The plan as a point of "predicted against measured" that was not predicted before; couplings are beside the
    /// table.
    PredictionRecord record(const CostTable& table, const Plan& plan, const MeasuredKld& measured,
                            std::span<const LayerCoupling> couplings = {}) const;

private:
    struct Kept;
    EvaluationTask evaluation() const;

    MeasuringTask m_task;
    const JobContext& m_context;
    std::unique_ptr<Kept> m_kept;
};

} // namespace ql::cli
