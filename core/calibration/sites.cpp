// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/sites.h"

#include "core/calibration/reduce.h"
#include "core/calibration/unfolded_inputs.h"

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
        const Layer& weights = model.layers[static_cast<std::size_t>(layer)];
        const std::int64_t groups = convolutionGroups(node, weights.shape);
        const Node* const convolution = groups > 0 ? &node : nullptr;
        if (!convolution && weights.shape.size() != 2)
            continue;
        const graph::ValueId value = node.inputs[static_cast<std::size_t>(node.op->activations)];
        auto site = std::ranges::find_if(
            sites, [&](const Site& known) { return known.value == value && known.convolution == convolution; });
        if (site == sites.end())
            site = sites.insert(sites.end(), {.value = value,
                                              .convolution = convolution,
                                              .in = inputsOf(weights) * std::max<std::int64_t>(1, groups),
                                              .groups = std::max<std::int64_t>(1, groups),
                                              .readers = {},
                                              .key = {}});
        const SiteReader reader = groups > 1 ? SiteReader{layer, SiteReader::kEach, groups}
                                             : SiteReader{layer, node.integer("expert", 0), node.integer("experts", 1)};
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
