// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/plan_front.h"

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
    std::int64_t fixed = 0;
    for (const std::int64_t layer : layers) {
        const auto index = static_cast<std::size_t>(layer);
        found.weights += model.layers[index].numel();
        fixed += layerPayloadBits(model.layers[index], found.problem.start().candidates[index]);
    }
    if (request.target) {
        QL_CHECK(request.target->acceptsModel(model));
        QL_CHECK(found.problem.countFileBytes(context));
        fixed = found.problem.fixedSize();
    } else {
        for (const FreeItem& free : found.problem.free())
            fixed -= request.table->at(free.item, free.columns.front()).payloadBits;
    }
    if (request.constraints.memory && request.constraints.memory->secondBytes)
        return usageError(
            "a front is made for memory of one device; leave the memory beside it (--ram) out, or solve one budget");
    QL_TRY(sides, sideConstraints(found.problem, request.constraints));
    if (request.constraints.memory) {
        QL_TRY(memory, memoryConstraints(found.problem, *request.constraints.memory, 0));
        sides.insert(sides.end(), memory.begin(), memory.end());
    }
    found.problem.problem().sides = std::move(sides);
    FrontSettings within = settings;
    for (std::optional<std::int64_t>* limit : {&within.from, &within.to})
        if (*limit)
            **limit -= fixed;
    QL_TRY(front, paretoFront(found.problem.problem(), within, context));
    for (FrontPoint& point : front.points) {
        point.size += fixed;
        point.loss += found.problem.fixedLoss();
        point.lowerBound += found.problem.fixedLoss();
    }
    for (HullPoint& vertex : front.hull) {
        vertex.size += fixed;
        vertex.loss += found.problem.fixedLoss();
    }
    found.front = std::move(front);
    return found;
}

} // namespace ql
