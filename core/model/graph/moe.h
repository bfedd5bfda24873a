// SPDX-License-Identifier: GPL-3.0-or-later
// Which tokens an expert of a mixture gets, as moe_dispatch and moe_combine both need it.
#pragma once

#include "core/model/graph/operator.h"

namespace ql::graph {

/// The rows of weights[…, experts] whose weight for that expert is not 0.
template<typename T>
Result<std::vector<std::int64_t>> rowsOfExpert(const Node& node, const Array<T>& weights, std::int64_t expert)
{
    if (expert < 0 || expert >= weights.width())
        return nodeError(node, "there is no expert " + std::to_string(expert) + " in weights " +
                                   formatShape(weights.shape()));
    std::vector<std::int64_t> rows;
    for (std::int64_t row = 0; row < weights.rows(); ++row)
        if (weights.data()[row * weights.width() + expert] != 0)
            rows.push_back(row);
    return rows;
}

} // namespace ql::graph
