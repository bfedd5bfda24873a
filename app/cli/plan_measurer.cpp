// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/plan_measurer.h"

#include "core/model/evaluation/kept_scores.h"
#include "core/sensitivity/plan_prediction.h"

namespace ql::cli {

namespace {

constexpr std::int64_t kCodeBytes = std::int64_t{1} << 30;

/// How the inputs of each layer are rounded.
using Rounding = std::vector<std::pair<Runtime::Round, std::string>>;

Rounding roundingOf(const Model& model, const Plan& plan, const Runtime* runtime)
{
    Rounding rounding;
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
        const Candidate& candidate = plan.candidates[i];
        const std::int64_t width = matrixShape(model.layers[i].shape).cols;
        std::string scheme;
        if (candidate.activations)
            scheme = printActivationScheme(*candidate.activations) +
                     (candidate.weights.additions.columns > 0 ? " " + printScheme(candidate.weights) : "");
        rounding.emplace_back(runtime ? roundingOf(*runtime, model, &plan, static_cast<std::int64_t>(i), width)
                                      : nullptr,
                              std::move(scheme));
    }
    return rounding;
}

} // namespace

struct PlanMeasurer::Kept {
    ModelVersion base;
    ReferenceStates reference;
    std::shared_ptr<CodeCache> codes = std::make_shared<CodeCache>(kCodeBytes);
    std::vector<std::pair<Rounding, double>> floors;
};

PlanMeasurer::PlanMeasurer(MeasuringTask task, const JobContext& context)
    : m_task(std::move(task)), m_context(context), m_kept(std::make_unique<Kept>())
{
    m_kept->base = m_task.opened.baseVersion();
}

PlanMeasurer::~PlanMeasurer() = default;

EvaluationTask PlanMeasurer::evaluation() const
{
    EvaluationTask task{
        .graph = m_task.graph, .windows = m_task.windows, .model = m_kept->base, .onScores = {}, .known = {}};
    task.reference = &m_kept->reference;
    return task;
}

Result<MeasuredKld> PlanMeasurer::measure(const Plan& plan)
{
    const Model& model = *m_task.opened.model;
    const Activations* const activations = m_task.opened.activations.get();
    QL_TRY(version, plannedVersion(model,
                                   {.plan = &plan,
                                    .target = m_task.target,
                                    .activations = activations,
                                    .runtime = m_task.runtime,
                                    .codes = m_kept->codes},
                                   m_context));
    const std::string identity = "plan\n" + model.checkpoint->fingerprint() + "\n" + printPlan(plan, model) + "\n" +
                                 (activations ? activations->fingerprint() : "") +
                                 (m_task.runtime ? "\nas " + std::string(m_task.runtime->id) : "");
    EvaluationTask task = evaluation();
    task.other = &version;
    QL_TRY(scores, evaluateKept(task, identity, m_task.sink, m_context));
    MeasuredKld measured{.kld = comparisonOf(scores, m_task.windows.count()).kld, .floor = 0};
    if (!version.layerInput)
        return measured;
    const Rounding rounding = roundingOf(model, plan, m_task.runtime);
    for (const auto& [known, floor] : m_kept->floors)
        if (known == rounding) {
            measured.floor = floor;
            return measured;
        }
    QL_TRY(floor, activationFloor(evaluation(), version, identity, &m_task.sink, m_context));
    m_kept->floors.emplace_back(rounding, floor);
    measured.floor = floor;
    return measured;
}

PredictionRecord PlanMeasurer::record(const CostTable& table, const Plan& plan, const MeasuredKld& measured,
                                      std::span<const LayerCoupling> couplings) const
{
    PredictionRecord record;
    record.of = {.metric = table.metric,
                 .unit = table.unit,
                 .runtime = m_task.runtime ? std::string(m_task.runtime->id) : std::string(),
                 .windows = windowsHash(m_task.windows, Scored::secondHalf)};
    record.plan = planHash(plan, *m_task.opened.model);
    record.text = m_task.text;
    record.windowCount = m_task.windows.count();
    record.point = {.predicted = predictedSum(table, plan, couplings),
                    .measured = measured.kld.value,
                    .standardError = measured.kld.windowError,
                    .shares = {}};
    record.point.predicted.floor = measured.floor;
    SharesByGroup shares = sharesOf(*m_task.opened.model, table, plan);
    record.point.shares = std::move(shares.shares);
    record.groups = std::move(shares.groups);
    return record;
}

} // namespace ql::cli
