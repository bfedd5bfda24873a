// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/metric.h"

#include <cmath>
#include <limits>

namespace ql {

namespace {
constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

/// Where the measurement of (layer, column) is in the list, or kNone.
class CellIndex {
public:
    CellIndex(const Model& model, std::size_t columns, const std::vector<Measurement>& cells)
        : m_columns(columns), m_at(model.layers.size() * columns, kNone)
    {
        for (std::size_t i = 0; i < cells.size(); ++i)
            m_at[static_cast<std::size_t>(cells[i].layer) * columns + cells[i].candidate] = i;
    }
    std::size_t find(std::int64_t layer, std::size_t column) const
    {
        return m_at[static_cast<std::size_t>(layer) * m_columns + column];
    }

private:
    std::size_t m_columns;
    std::vector<std::size_t> m_at;
};
} // namespace

CostTable makeCostTable(const Model& model, const MeasureRequest& request, std::size_t metric,
                        const std::vector<Measurement>& cells)
{
    const Metric& measured = *request.metrics[metric];
    const std::size_t columns = request.candidates.size();
    CostTable table{.metric = std::string(measured.id),
                    .unit = std::string(measured.unit),
                    .items = makeItems(model, request.target),
                    .candidates = request.candidates,
                    .costs = {},
                    .completed = {}};
    std::vector<bool> asked(model.layers.size(), false);
    for (const std::int64_t layer : request.layers)
        asked[static_cast<std::size_t>(layer)] = true;
    std::erase_if(table.items, [&](const Item& item) {
        return std::none_of(item.layers.begin(), item.layers.end(),
                            [&](std::int64_t layer) { return asked[static_cast<std::size_t>(layer)]; });
    });

    const CellIndex index(model, columns, cells);
    for (const Item& item : table.items) {
        for (std::size_t column = 0; column < columns; ++column) {
            Cost cost{.loss = 0,
                      .payloadBits = 0,
                      .evidence = evidenceOf(measured.needs),
                      .allowed = true,
                      .standardError = 0};
            for (const std::int64_t number : item.layers) {
                const Layer& layer = model.layers[static_cast<std::size_t>(number)];
                Candidate candidate = request.candidates[column];
                if (request.target) {
                    candidate = request.target->complete(model, layer, candidate);
                    if (!request.target->accepts(model, layer, candidate))
                        cost.allowed = false;
                }
                cost.payloadBits += layerPayloadBits(layer, candidate);
                if (request.target && number == item.layers.front())
                    table.completed.push_back(candidate);
                const std::size_t at = index.find(number, column);
                if (at == kNone) {
                    cost.loss = std::numeric_limits<double>::quiet_NaN();
                    continue;
                }
                cost.allowed = cost.allowed && cells[at].allowed;
                cost.loss += cells[at].losses[metric];
            }
            if (!cost.allowed)
                cost.loss = std::numeric_limits<double>::quiet_NaN();
            if (std::isnan(cost.loss))
                cost.evidence = Evidence::unmeasured;
            table.costs.push_back(cost);
        }
    }
    return table;
}

} // namespace ql
