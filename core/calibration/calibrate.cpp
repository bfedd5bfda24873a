// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/calibrate.h"

#include "core/base/hash.h"
#include "core/model/evaluation/run_cost.h"

#include <algorithm>
#include <ranges>

namespace ql {

namespace {

using graph::Array;
using graph::Graph;
using graph::Node;
using graph::Segment;
using graph::ValueId;
using graph::Values;

constexpr std::int64_t kGroupTokens = 4096; // run through a segment together

/// A site and how far its statistics are.
struct SiteProgress {
    Site site;
    GramKind kind;
    std::int64_t windows = 0; // behind what the sink holds of the same text
};

GramKind kindFor(const CalibrationSettings& settings, const Site& site)
{
    const bool isFull = std::ranges::any_of(site.readers, [&](const SiteReader& reader) {
        return std::ranges::find(settings.full, reader.layer) != settings.full.end();
    });
    return isFull                                                            ? GramKind::full
           : settings.gram == GramKind::full && site.in > settings.fullLimit ? GramKind::blocks
                                                                             : settings.gram;
}

/// Whether what is known holds at least as much of XᵀX as asked for.
bool holds(const SiteStatistics& known, GramKind kind, std::int64_t blockSize)
{
    return known.gramKind == GramKind::full || kind == GramKind::diag ||
           (known.gramKind == kind && known.blockSize == blockSize);
}

/// Names the text: statistics of another are not continued.
std::string sourceOf(const Windows& windows)
{
    Hasher hasher;
    hasher.add(std::as_bytes(std::span(windows.ids)));
    hasher.add(std::as_bytes(std::span(&windows.length, 1)));
    return hasher.hex();
}

/// A group of windows on its way through the graph.
struct Group {
    std::int64_t windows;
    Values<float> values;
};

class Calibration {
public:
    Calibration(const CalibrationTask& task, const JobContext& context)
        : m_task(task), m_context(context), m_source(sourceOf(task.windows))
    {
        for (std::vector<Site>& sites : sitesOf(task.model, task.graph)) {
            std::vector<SiteProgress>& segment = m_sites.emplace_back();
            for (Site& site : sites) {
                const GramKind kind = kindFor(task.settings, site);
                segment.push_back({std::move(site), kind});
                const auto head = task.sink.findHead(segment.back().site.key, SiteStatistics::kHeadBytes);
                const auto known = head ? SiteStatistics::decodeHead(*head) : std::nullopt;
                if (known && continues(*known, segment.back()))
                    segment.back().windows = known->windows;
            }
        }
    }

    Result<void> run()
    {
        const std::int64_t total = m_task.windows.count();
        std::int64_t first = nextBatch();
        m_context.progress().addTotal((total - first) * std::ssize(m_sites));
        for (; first < total; first = nextBatch())
            QL_CHECK(runBatch(first));
        return {};
    }

private:
    bool continues(const SiteStatistics& known, const SiteProgress& now) const
    {
        return known.source == m_source && known.in == now.site.in && known.readers == now.site.readers &&
               holds(known, now.kind, m_task.settings.blockSize);
    }

    /// Turns to the next batch, from where the last site stands to where it meets another, and returns its first
    /// window; the number of windows when all are done.
    std::int64_t nextBatch()
    {
        const auto all = std::views::join(m_sites);
        const std::int64_t total = m_task.windows.count();
        std::int64_t first = total;
        for (const SiteProgress& site : all)
            first = std::min(first, site.windows);
        m_after = std::min(total, first + m_task.settings.batchWindows);
        for (const SiteProgress& site : all)
            if (site.windows > first)
                m_after = std::min(m_after, site.windows);
        return first;
    }

    bool isLeft(const SiteProgress& site) const { return site.windows < m_after; }

    Result<void> runBatch(std::int64_t first)
    {
        const std::int64_t count = m_after - first;
        const auto isSegmentLeft = [&](const std::vector<SiteProgress>& sites) {
            return std::ranges::any_of(sites, [&](const SiteProgress& site) { return isLeft(site); });
        };
        std::size_t segments = m_sites.size(); // those behind the last site that is left are not run
        while (!isSegmentLeft(m_sites[segments - 1]))
            --segments;
        std::vector<Group> groups = groupsOf(first, count);
        for (std::size_t s = 0; s < m_sites.size(); ++s) {
            if (s < segments) {
                QL_CHECK(runSegment(s, s + 1 == segments, groups));
            } else {
                m_context.progress().addDone(count);
            }
            if (m_task.onBlock)
                m_task.onBlock(m_task.graph.segments[s].block, m_after);
        }
        return {};
    }

    std::vector<Group> groupsOf(std::int64_t first, std::int64_t count) const
    {
        const std::int64_t length = m_task.windows.length;
        const std::int64_t perGroup = std::max<std::int64_t>(1, kGroupTokens / length);
        std::vector<Group> groups;
        for (std::int64_t begin = first; begin < first + count; begin += perGroup) {
            const std::int64_t windows = std::min(perGroup, first + count - begin);
            Array<std::int64_t> tokens({windows, length});
            std::copy_n(m_task.windows.ids.begin() + begin * length, windows * length, tokens.write());
            Group group{windows, {}};
            group.values[m_task.graph.inputs.front()].integers = std::move(tokens);
            groups.push_back(std::move(group));
        }
        return groups;
    }

    /// The statistics of a site so far.
    Result<SiteStatistics> startOf(const SiteProgress& site) const
    {
        if (site.windows == 0) {
            SiteStatistics statistics(site.site.readers, site.site.in, site.kind, m_task.settings.blockSize);
            statistics.source = m_source;
            return statistics;
        }
        const auto kept = m_task.sink.find(site.site.key);
        auto statistics = kept ? SiteStatistics::decode(*kept) : std::nullopt;
        if (!statistics)
            return ioError("what is known of its inputs cannot be read any more; open the study again", site.site.key);
        return std::move(*statistics);
    }

    /// The part of a segment up to the last value that a site needs: of the last segment the logits, say, are not
    /// computed.
    Segment neededPart(std::size_t number) const
    {
        Segment part = m_task.graph.segments[number];
        std::size_t end = part.begin;
        for (std::size_t n = part.begin; n < part.end; ++n)
            for (const ValueId output : m_task.graph.nodes[n].outputs)
                if (std::ranges::any_of(m_sites[number], [&](const SiteProgress& site) {
                        return isLeft(site) && site.site.value == output;
                    }))
                    end = n + 1;
        part.end = end;
        return part;
    }

    Result<void> runSegment(std::size_t number, bool isLast, std::vector<Group>& groups)
    {
        std::vector<SiteProgress*> left;
        std::vector<SiteStatistics> statistics;
        for (SiteProgress& site : m_sites[number])
            if (isLeft(site)) {
                QL_TRY(start, startOf(site));
                left.push_back(&site);
                statistics.push_back(std::move(start));
            }
        QL_CHECK(
            runGroups(isLast ? neededPart(number) : m_task.graph.segments[number], isLast, left, statistics, groups));
        QL_CHECK(m_task.model.checkpoint->checkIntact());
        for (std::size_t i = 0; i < left.size(); ++i) {
            statistics[i].windows = m_after;
            const std::vector<std::byte> bytes = statistics[i].encode();
            statistics[i] = {}; // may be gigabytes
            QL_CHECK(m_task.sink.keep(left[i]->site.key, bytes));
            left[i]->windows = m_after;
        }
        return {};
    }

    /// Adds what the sites that are left see of all groups.
    Result<void> runGroups(const Segment& part, bool isLast, const std::vector<SiteProgress*>& left,
                           std::vector<SiteStatistics>& statistics, std::vector<Group>& groups) const
    {
        QL_TRY(weights, graph::loadWeights<float>(m_task.graph, part, m_task.weights, m_context));
        for (Group& group : groups) {
            std::vector<bool> seen(left.size()); // a site is looked at once, however many layers read it
            const auto look = [&](ValueId value, const Array<float>& x) -> Result<void> {
                for (std::size_t i = 0; i < left.size(); ++i)
                    if (left[i]->site.value == value && !seen[i]) {
                        seen[i] = true;
                        QL_CHECK(statistics[i].add(x, m_context));
                    }
                return {};
            };
            graph::ForwardOptions<float> options;
            options.layerInput = [&](const Node& node, std::int64_t, Array<float>& x) {
                return look(node.inputs[static_cast<std::size_t>(node.op->activations)], x);
            };
            QL_CHECK(graph::forward(m_task.graph, part, weights, group.values, m_context, options));
            if (isLast) // the nodes that read them were not run
                for (const SiteProgress* site : left)
                    if (const auto value = group.values.find(site->site.value); value != group.values.end())
                        QL_CHECK(look(site->site.value, value->second.real));
            m_context.progress().addDone(group.windows);
        }
        return {};
    }

    const CalibrationTask& m_task;
    const JobContext& m_context;
    std::string m_source;
    std::vector<std::vector<SiteProgress>> m_sites; // of each segment
    std::int64_t m_after = 0;                       // one past the last window of the batch
};

} // namespace

CalibrationCost calibrationCost(const Model& model, const Graph& graph, const CalibrationSettings& settings,
                                std::int64_t windows, std::int64_t length)
{
    CalibrationCost cost;
    const std::int64_t tokens = windows * length;
    std::int64_t segmentBytes = 0; // the largest segment's weights and statistics
    std::int64_t width = 0;
    const auto sites = sitesOf(model, graph);
    for (std::size_t s = 0; s < graph.segments.size(); ++s) {
        std::int64_t statistics = 0;
        for (const Site& site : sites[s]) {
            const GramKind kind = kindFor(settings, site);
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
    return Calibration(task, context).run();
}

} // namespace ql
