// SPDX-License-Identifier: GPL-3.0-or-later
// Where in a graph layers read what calibration keeps statistics of.
#pragma once

#include "core/calibration/site_statistics.h"
#include "core/model/graph/graph.h"
#include "core/model/model.h"

namespace ql {

/// A value that feeds layers. Refers to the graph.
struct Site {
    graph::ValueId value = graph::kLeftOut;
    const graph::Node* convolution = nullptr; // whose windows its rows are (unfolded_inputs.h); null: its own rows
    std::int64_t in = 0;
    std::int64_t groups = 1;         // equal ranges of channels that never meet: of XᵀX their blocks are asked for
    std::vector<SiteReader> readers; // in the order of nodes
    std::string key;                 // of its statistics in a sink
};

/// Of each segment, in the order of nodes; a value that layers of two segments read is a site in each. The experts of a
/// stack have a site each, and so has every use of a layer that is used several times, and every convolution.
std::vector<std::vector<Site>> sitesOf(const Model& model, const graph::Graph& graph);

/// Key of the statistics of a site: of those that the layer is the first to read, number `number` from 0 on.
std::string siteKey(const Model& model, std::int64_t layer, std::int64_t number = 0);

} // namespace ql
