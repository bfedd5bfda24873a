// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/sites.h"

#include "core/model/graph/operator.h"

#include <algorithm>

namespace ql {

namespace {

using graph::Graph;
using graph::Node;

std::vector<Site> sitesOf(const Model& model, const Graph& graph, const graph::Segment& segment)
{
    std::vector<Site> sites;
    for (std::size_t n = segment.begin; n < segment.end; ++n) {
        const Node& node = graph.nodes[n];
        const std::int64_t layer = graph.productLayerOf(node);
        if (layer < 0)
            continue;
        const Shape& shape = model.layers[static_cast<std::size_t>(layer)].shape;
        if (shape.size() != 2)
            continue; // the inputs of convolutions are no rows of tokens
        const graph::ValueId value = node.inputs[static_cast<std::size_t>(node.op->activations)];
        const SiteReader reader{layer, node.integer("expert", 0), node.integer("experts", 1)};
        auto site = std::ranges::find(sites, value, &Site::value);
        if (site == sites.end())
            site = sites.insert(sites.end(), {.value = value, .in = shape[1], .readers = {}, .key = {}});
        if (std::ranges::find(site->readers, reader) == site->readers.end())
            site->readers.push_back(reader);
    }
    return sites;
}

} // namespace

std::vector<std::vector<Site>> sitesOf(const Model& model, const Graph& graph)
{
    std::vector<std::vector<Site>> all;
    std::map<std::int64_t, std::int64_t> numbers; // by first reader
    for (const graph::Segment& segment : graph.segments) {
        all.push_back(sitesOf(model, graph, segment));
        for (Site& site : all.back()) {
            const std::int64_t first = site.readers.front().layer;
            site.key = siteKey(model, first, numbers[first]++);
        }
    }
    return all;
}

std::string siteKey(const Model& model, std::int64_t layer, std::int64_t number)
{
    return (number == 0 ? "calibration/" : "calibration." + std::to_string(number) + "/") +
           model.layers[static_cast<std::size_t>(layer)].name;
}

} // namespace ql
