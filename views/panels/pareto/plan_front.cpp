// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/pareto/plan_front.h"

#include "core/allocation/free_items.h"

#include <algorithm>

namespace ql::views {

namespace {

/// Bits per weight where every free item takes the column that comes first by that order.
template<typename Less>
double bitsWith(const Model& model, const BalanceRequest& request, const std::vector<FreeItem>& free,
                std::span<const std::int64_t> planLayers, const Less& less)
{
    Plan plan = request.start;
    for (const FreeItem& item : free) {
        const std::size_t column = *std::ranges::min_element(item.columns, [&](std::size_t a, std::size_t b) {
            return less(request.table->at(item.item, a), request.table->at(item.item, b));
        });
        assignColumn(model, *request.table, request.target, item.item, column, plan);
    }
    return bitsPerWeight(model, plan, planLayers);
}

} // namespace

Result<PlanFront> planFront(const Model& model, const BalanceRequest& request, int budgets, const JobContext& context)
{
    PlanFront front;
    const std::vector<FreeItem> free = freeItems(*request.table, request.start);
    if (free.empty())
        return front;
    BalanceRequest each = request;
    each.fileBytes.reset();
    each.planLayers = layersInPlan(model, request.target);
    const double least = bitsWith(model, request, free, each.planLayers,
                                  [](const Cost& a, const Cost& b) { return a.payloadBits < b.payloadBits; });
    const double most = bitsWith(model, request, free, each.planLayers, [](const Cost& a, const Cost& b) {
        return a.loss != b.loss ? a.loss < b.loss : a.payloadBits < b.payloadBits;
    });
    context.progress().addTotal(budgets);
    constexpr double kRounding = 1e-9; // bits: the smallest plan fits its own budget
    for (int i = 0; i < budgets; ++i) {
        QL_CHECK(context.checkStop());
        // Closer together where plans are small: there a bit is worth most.
        const double way = budgets > 1 ? static_cast<double>(i) / (budgets - 1) : 0;
        each.bitsPerWeight = least + (most - least) * way * way + kRounding;
        const JobContext inner(context.executor(), context.stopToken());
        QL_TRY(balanced, balance(model, each, inner));
        context.progress().addDone(1);
        front.milliseconds += balanced.milliseconds;
        if (!front.plans.empty() && balanced.predictedLoss >= front.plans.back().loss)
            continue; // as good for fewer bits
        front.plans.push_back({.plan = std::make_shared<const Plan>(std::move(balanced.plan)),
                               .fileBytes = balanced.fileBytes,
                               .bitsPerWeight = balanced.bitsPerWeight,
                               .loss = balanced.predictedLoss,
                               .optimal = balanced.allocation.optimal,
                               .shadowPrice = balanced.allocation.shadowPrice});
    }
    return front;
}

} // namespace ql::views
