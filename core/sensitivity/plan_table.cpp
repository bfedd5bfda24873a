// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/plan_table.h"

#include <algorithm>

namespace ql {

Result<CostTable> measurePlan(const Model& model, const PlanTableRequest& request, const JobContext& context)
{
    MeasureRequest all{.layers = model.quantizableLayers(),
                       .candidates = {},
                       .metrics = {&request.metric},
                       .target = request.target,
                       .activations = request.activations,
                       .sink = request.sink};
    std::vector<std::vector<std::int64_t>> layersOf; // candidate
    for (const std::int64_t layer : all.layers) {
        const Candidate& candidate = request.plan.candidates[static_cast<std::size_t>(layer)];
        const auto at = static_cast<std::size_t>(std::ranges::find(all.candidates, candidate) - all.candidates.begin());
        if (at == all.candidates.size()) {
            all.candidates.push_back(candidate);
            layersOf.emplace_back();
        }
        layersOf[at].push_back(layer);
    }
    std::vector<Measurement> cells;
    for (std::size_t column = 0; column < all.candidates.size(); ++column) {
        MeasureRequest one = all;
        one.layers = layersOf[column];
        one.candidates = {all.candidates[column]};
        QL_CHECK(measure(
            model, one,
            [&](const Measurement& cell) {
                cells.push_back(cell);
                cells.back().candidate = column;
            },
            context));
    }
    return makeCostTable(model, all, 0, cells);
}

} // namespace ql
