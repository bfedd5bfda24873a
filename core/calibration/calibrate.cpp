// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/calibrate.h"

#include "core/base/hash.h"
#include "core/model/evaluation/run_cost.h"

#include <algorithm>
#include <array>

namespace ql {

namespace {

using graph::Array;
using graph::Graph;
using graph::Node;
using graph::Segment;
using graph::ValueId;
using graph::Values;

constexpr std::int64_t kGroupTokens = 4096; // run through a segment together

/// A value that feeds layers, and the layers in order.
struct Site {
    ValueId value;
    std::vector<std::int64_t> layers;
    std::int64_t in;
};

std::vector<Site> sitesOf(const Model& model, const Graph& graph, const Segment& segment)
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
        const ValueId value = node.inputs[static_cast<std::size_t>(node.op->activations)];
        const auto known = std::ranges::find(sites, value, &Site::value);
        if (known != sites.end())
            known->layers.push_back(layer);
        else
            sites.push_back({value, {layer}, shape[1]});
    }
    return sites;
}

/// The segment up to the last value that a site needs: logits, say, are not computed.
Segment neededPart(const Graph& graph, Segment segment, const std::vector<Site>& sites, bool isLast)
{
    if (!isLast)
        return segment;
    std::size_t end = segment.begin;
    for (std::size_t n = segment.begin; n < segment.end; ++n)
        for (const ValueId output : graph.nodes[n].outputs)
            if (std::ranges::find(sites, output, &Site::value) != sites.end())
                end = n + 1;
    segment.end = end;
    return segment;
}

GramKind kindFor(const CalibrationSettings& settings, std::int64_t in)
{
    return settings.gram == GramKind::full && in > settings.fullLimit ? GramKind::blocks : settings.gram;
}

/// Statistics of one segment: those of earlier batches, continued.
class Collector {
public:
    /// Goes on from what the sink holds of the first `before` windows, or has of at least `after`, of the same text.
    Collector(const CalibrationTask& task, const std::vector<Site>& sites, const std::string& source,
              std::int64_t before, std::int64_t after)
        : m_after(after)
    {
        for (const Site& site : sites) {
            const auto kept = task.sink.find(siteKey(task.model, site.layers.front()));
            auto statistics = kept ? SiteStatistics::decode(*kept) : std::nullopt;
            const bool continues = statistics && statistics->source == source && statistics->in == site.in &&
                                   (statistics->windows == before || statistics->windows >= after);
            if (!continues) {
                statistics.emplace(site.layers, site.in, kindFor(task.settings, site.in), task.settings.blockSize);
                statistics->source = source;
            }
            m_sites.push_back(std::move(*statistics));
            m_values.push_back(site.value);
        }
    }

    bool isComplete() const
    {
        return std::ranges::all_of(m_sites, [&](const SiteStatistics& site) { return site.windows >= m_after; });
    }

    Result<void> add(ValueId value, const Array<float>& x, std::int64_t windows, const JobContext& context)
    {
        for (std::size_t i = 0; i < m_sites.size(); ++i)
            if (m_values[i] == value && m_sites[i].windows < m_after) {
                QL_CHECK(m_sites[i].add(x, context));
                m_sites[i].windows += windows;
            }
        return {};
    }

    Result<void> keep(const CalibrationTask& task) const
    {
        for (const SiteStatistics& site : m_sites)
            QL_CHECK(task.sink.keep(siteKey(task.model, site.layers.front()), site.encode()));
        return {};
    }

private:
    std::int64_t m_after;
    std::vector<SiteStatistics> m_sites;
    std::vector<ValueId> m_values;
};

/// Names text and settings: statistics of another source are not continued.
std::string sourceOf(const CalibrationTask& task)
{
    Hasher hasher;
    hasher.add(std::as_bytes(std::span(task.windows.ids)));
    const std::array<std::int64_t, 4> settings{task.windows.length, static_cast<std::int64_t>(task.settings.gram),
                                               task.settings.blockSize, task.settings.fullLimit};
    hasher.add(std::as_bytes(std::span(settings)));
    return hasher.hex();
}

/// A group of windows on its way through the graph.
struct Group {
    std::int64_t windows;
    Values<float> values;
};

std::vector<Group> groupsOf(const CalibrationTask& task, std::int64_t first, std::int64_t count)
{
    const std::int64_t length = task.windows.length;
    const std::int64_t perGroup = std::max<std::int64_t>(1, kGroupTokens / length);
    std::vector<Group> groups;
    for (std::int64_t begin = first; begin < first + count; begin += perGroup) {
        const std::int64_t windows = std::min(perGroup, first + count - begin);
        Array<std::int64_t> tokens({windows, length});
        std::copy_n(task.windows.ids.begin() + begin * length, windows * length, tokens.write());
        Group group{windows, {}};
        group.values[task.graph.inputs.front()].integers = std::move(tokens);
        groups.push_back(std::move(group));
    }
    return groups;
}

Result<void> runSegment(const CalibrationTask& task, const Segment& segment, const std::vector<Site>& sites,
                        Collector& collector, std::vector<Group>& groups, const JobContext& context)
{
    const bool isLast = segment.end == task.graph.nodes.size();
    const bool collect = !collector.isComplete();
    if (isLast && !collect)
        return {};
    const Segment part = neededPart(task.graph, segment, sites, isLast);
    QL_TRY(weights, graph::loadWeights<float>(task.graph, part, task.weights, context));
    for (Group& group : groups) {
        std::vector<ValueId> seen; // a site is looked at once, however many layers read it
        graph::ForwardOptions<float> options;
        const auto look = [&](ValueId value, const Array<float>& x) -> Result<void> {
            if (!collect || std::ranges::find(seen, value) != seen.end())
                return {};
            seen.push_back(value);
            return collector.add(value, x, group.windows, context);
        };
        options.layerInput = [&](const Node& node, std::int64_t, Array<float>& x) {
            return look(node.inputs[static_cast<std::size_t>(node.op->activations)], x);
        };
        QL_CHECK(graph::forward(task.graph, part, weights, group.values, context, options));
        if (isLast)
            for (const Site& site : sites)
                if (const auto value = group.values.find(site.value); value != group.values.end())
                    QL_CHECK(look(site.value, value->second.real));
        context.progress().addDone(group.windows);
    }
    QL_CHECK(task.model.checkpoint->checkIntact());
    return collect ? collector.keep(task) : Result<void>();
}

} // namespace

std::string siteKey(const Model& model, std::int64_t layer)
{
    return "calibration/" + model.layers[static_cast<std::size_t>(layer)].name;
}

CalibrationCost calibrationCost(const Model& model, const Graph& graph, const CalibrationSettings& settings,
                                std::int64_t windows, std::int64_t length)
{
    CalibrationCost cost;
    const std::int64_t tokens = windows * length;
    std::int64_t segmentBytes = 0; // the largest segment's weights and statistics
    std::int64_t width = 0;
    for (std::size_t s = 0; s < graph.segments.size(); ++s) {
        std::int64_t statistics = 0;
        for (const Site& site : sitesOf(model, graph, graph.segments[s])) {
            const GramKind kind = kindFor(settings, site.in);
            statistics += SiteStatistics::gramSize(site.in, kind, settings.blockSize) * 8 + site.in * 16 + tokens * 4;
            width = std::max(width, site.in);
            const std::int64_t perChannel = kind == GramKind::full     ? site.in
                                            : kind == GramKind::blocks ? std::min(site.in, settings.blockSize)
                                                                       : 1;
            cost.multiplyAdds += static_cast<double>(tokens) * static_cast<double>(site.in * perChannel);
        }
        std::int64_t weights = 0;
        for (const std::int64_t layer : graph.layersOf(s))
            weights += model.layers[static_cast<std::size_t>(layer)].numel() * 4;
        cost.resultBytes += statistics;
        segmentBytes = std::max(segmentBytes, weights + statistics);
    }
    cost.multiplyAdds += static_cast<double>(tokens) * multiplyAddsPerToken(model, graph);
    const std::int64_t batch = std::min(settings.batchWindows, windows) * length;
    const std::int64_t hidden = static_cast<std::int64_t>(model.configNumber("hidden_size").value_or(0));
    // Hidden states of a batch; inside a segment some arrays of a group's tokens at the largest width.
    cost.memoryBytes = segmentBytes + 4 * batch * hidden + 6 * 4 * std::min(batch, kGroupTokens) * width;
    return cost;
}

Result<void> calibrate(const CalibrationTask& task, const JobContext& context)
{
    if (task.graph.inputs.empty())
        return refused("takes no tokens", task.model.checkpoint->path().string());
    const std::int64_t total = task.windows.count();
    const std::string source = sourceOf(task);
    context.progress().addTotal(total * std::ssize(task.graph.segments));
    for (std::int64_t first = 0; first < total; first += task.settings.batchWindows) {
        const std::int64_t count = std::min(task.settings.batchWindows, total - first);
        std::vector<Group> groups = groupsOf(task, first, count);
        for (const Segment& segment : task.graph.segments) {
            const std::vector<Site> sites = sitesOf(task.model, task.graph, segment);
            Collector collector(task, sites, source, first, first + count);
            QL_CHECK(runSegment(task, segment, sites, collector, groups, context));
            if (task.onBlock)
                task.onBlock(segment.block, first + count);
        }
    }
    return {};
}

} // namespace ql
