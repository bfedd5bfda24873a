// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/model/graph/graph.h"

#include <string_view>

namespace ql::graph {

/// The name of the first of a graph's inputs or outputs; empty of none.
inline std::string_view firstName(const Graph& graph, const std::vector<ValueId>& ids)
{
    return ids.empty() ? std::string_view() : graph.values[static_cast<std::size_t>(ids.front())].name;
}

} // namespace ql::graph
