// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/plan_front.h"

#include "core/allocation/joint_front.h"
#include "core/base/text.h"

#include <algorithm>

namespace ql {

Result<PlanFront> planFront(const Model& model, const BalanceRequest& request, const FrontSettings& settings,
                            const JobContext& context)
{
    PlanFront found{.problem = PlanProblem(model, *request.table, request.target, request.start),
                    .front = {},
                    .inBytes = request.target != nullptr,
                    .weights = 0};
    const std::vector<std::int64_t> layers =
        request.planLayers.empty() ? layersInPlan(model, request.target) : request.planLayers;
    found.weights = weightsOf(model, layers);
    std::int64_t fixed = 0;
    if (request.target) {
        QL_CHECK(request.target->acceptsModel(model));
        QL_CHECK(found.problem.countFileBytes(context));
        fixed = found.problem.fixedSize();
    } else {
        fixed = found.problem.fixedBits(layers);
    }
    QL_TRY(sides, sideConstraints(found.problem, request.constraints));
    std::vector<Way> splits;
    if (const auto& memory = request.constraints.memory) {
        const std::int64_t last = memory->secondBytes ? model.blockCount : 0;
        for (std::int64_t split = 0; split <= last; ++split) {
            QL_TRY(ofMemory, memoryConstraints(found.problem, *memory, split));
            splits.push_back(std::move(ofMemory));
        }
    }
    found.problem.problem().sides = std::move(sides);
    FrontSettings within = settings;
    for (std::optional<std::int64_t>* limit : {&within.from, &within.to})
        if (*limit)
            **limit -= fixed;
    const JointTerms terms = jointTerms(found.problem, request.couplings);
    const double fixedLoss = found.problem.fixedLoss() + terms.fixed;
    Front front;
    if (terms.isEmpty()) {
        QL_TRY(ofSums, paretoFront(found.problem.problem(), within, context, splits));
        front = std::move(ofSums);
    } else {
        QL_TRY(joint, jointFront(found.problem.problem(), terms, within, context, splits));
        front = std::move(joint.front);
        found.couplingsLeftOut = joint.leftOut;
    }
    for (FrontPoint& point : front.points) {
        point.size += fixed;
        point.budget += fixed;
        point.loss += fixedLoss;
        point.lowerBound += fixedLoss;
    }
    for (HullPoint& vertex : front.hull) {
        vertex.size += fixed;
        vertex.loss += fixedLoss;
    }
    if (const auto& most = request.constraints.loss) {
        const double least = front.points.back().loss;
        std::erase_if(front.points, [&](const FrontPoint& point) { return point.loss > *most; });
        if (front.points.empty())
            return refused("the least loss is " + formatSignificant(least, 6) + ", more than the " +
                           formatSignificant(*most, 6) + " asked for; raise the limit or add better candidates");
    }
    front.largestGap = 0;
    for (const FrontPoint& point : front.points)
        front.largestGap = std::max(front.largestGap, point.gap());
    found.front = std::move(front);
    return found;
}

} // namespace ql
