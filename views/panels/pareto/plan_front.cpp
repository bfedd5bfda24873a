// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/pareto/plan_front.h"

#include "core/allocation/plan_front.h"

#include <algorithm>

namespace ql::views {

namespace {

std::optional<FrontStep> stepOf(const PlanProblem& problem, const std::optional<NextStep>& next)
{
    if (!next)
        return std::nullopt;
    const std::int64_t layer = problem.table().items[problem.free()[next->item].item].layers.front();
    return FrontStep{.layer = layer,
                     .from = problem.candidateOf(layer, next->item, next->from),
                     .to = problem.candidateOf(layer, next->item, next->to),
                     .addedSize = next->addedSize,
                     .savedLoss = next->savedLoss};
}

} // namespace

Result<FrontPlans> frontPlans(const Model& model, const BalanceRequest& request, std::size_t budgets,
                              const JobContext& context)
{
    FrontPlans front;
    front.inBytes = request.target != nullptr;
    if (freeItems(*request.table, request.start).empty())
        return front;
    BalanceRequest each = request;
    each.planLayers = layersInPlan(model, request.target);
    FrontSettings settings;
    settings.budgets = budgets;
    QL_TRY(found, planFront(model, each, settings, context));
    front.largestGap = found.front.largestGap;
    for (const FrontPoint& point : found.front.points) {
        QL_CHECK(context.checkStop());
        QL_TRY(plan, found.problem.planOf(point.choice));
        FrontPlan made{.plan = nullptr,
                       .fileBytes = 0,
                       .bitsPerWeight = bitsPerWeight(model, plan, each.planLayers),
                       .loss = predictLoss(*request.table, plan) + plannedCoupling(request.couplings, plan),
                       .gap = point.gap(),
                       .shadowPrice = point.shadowPrice / (found.inBytes ? 8 : 1),
                       .next = stepOf(found.problem, point.next)};
        if (request.target) {
            QL_TRY(bytes, request.target->fileBytes(model, plan));
            made.fileBytes = bytes;
        }
        made.plan = std::make_shared<const Plan>(std::move(plan));
        front.plans.push_back(std::move(made));
    }
    // Bytes in files are exact only now: padding and texts may turn neighbours round.
    std::ranges::stable_sort(front.plans, [](const FrontPlan& a, const FrontPlan& b) {
        return a.fileBytes != b.fileBytes ? a.fileBytes < b.fileBytes : a.loss < b.loss;
    });
    std::vector<FrontPlan> best;
    for (FrontPlan& plan : front.plans)
        if (best.empty() || !(plan.loss >= best.back().loss))
            best.push_back(std::move(plan));
    front.plans = std::move(best);
    const double unit = found.inBytes || found.weights == 0 ? 1 : static_cast<double>(found.weights);
    for (const HullPoint& vertex : found.front.hull)
        front.hull.push_back({.size = static_cast<double>(vertex.size) / unit, .loss = vertex.loss});
    return front;
}

} // namespace ql::views
