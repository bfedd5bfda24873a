// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/calibrate.h"

#include "core/calibration/next_batch.h"
#include "core/calibration/unfolded_inputs.h"
#include "core/model/evaluation/not_finite.h"
#include "core/model/evaluation/run_cost.h"

#include <algorithm>
#include <future>

namespace ql {

namespace {

using graph::Array;
using graph::Graph;
using graph::Node;
using graph::Segment;
using graph::ValueId;
using graph::Values;

struct Kept {
    GramKind gram = GramKind::diag;
    std::int64_t blockSize = 0;
};

/// A site and how far its statistics are.
struct SiteProgress {
    Site site;
    Kept kept;
    std::int64_t windows = 0; // behind what the sink holds of the same text
};

/// How much of XᵀX is asked for. Of groups it is the square of each, which is all that is meant.
Kept keptOf(const CalibrationSettings& settings, const Site& site)
{
    const bool isFull = std::ranges::any_of(site.readers, [&](const SiteReader& reader) {
        return std::ranges::find(settings.full, reader.layer) != settings.full.end();
    });
    const std::int64_t width = site.in / site.groups;
    const bool fits = width <= settings.fullLimit || isFull;
    if (site.groups > 1)
        return {fits && (isFull || settings.gram != GramKind::diag) ? GramKind::blocks : GramKind::diag, width};
    if (isFull)
        return {GramKind::full, settings.blockSize};
    return {settings.gram == GramKind::full && !fits ? GramKind::blocks : settings.gram, settings.blockSize};
}

/// Whether what is known holds at least as much of XᵀX as asked for.
bool holds(const SiteStatistics& known, const Kept& asked)
{
    return known.gramKind == GramKind::full || asked.gram == GramKind::diag ||
           (known.gramKind == asked.gram && known.blockSize == asked.blockSize);
}

/// Windows that go through the graph together.
struct Group {
    std::int64_t windows;
    Values<float> values;
};

/// Statistics of a segment on their way into the sink while the next segment runs.
struct Keeping {
    std::size_t segment = 0;
    std::int64_t windows = 0;
    std::future<Result<void>> done; // waits when it is dropped
};
constexpr std::int64_t kKeptMeanwhile = std::int64_t{256} << 20U; // bytes; larger ones are not there beside the next

class Calibration {
public:
    Calibration(const CalibrationTask& task, const JobContext& context) : m_task(task), m_context(context)
    {
        for (std::vector<Site>& sites : sitesOf(task.model, task.graph)) {
            std::vector<SiteProgress>& segment = m_sites.emplace_back();
            for (Site& site : sites) {
                const Kept kept = keptOf(task.settings, site);
                segment.push_back({std::move(site), kept});
                const auto head = task.sink.findHead(segment.back().site.key, SiteStatistics::kHeadBytes);
                const auto known = head ? SiteStatistics::decodeHead(*head) : std::nullopt;
                if (known && continues(*known, segment.back()))
                    segment.back().windows = known->windows;
            }
        }
    }

    Result<void> run()
    {
        const std::int64_t total = m_task.cases.count;
        std::int64_t first = turnToNext();
        m_context.progress().addTotal((total - first) * std::ssize(m_sites));
        for (; first < total; first = turnToNext())
            QL_CHECK(runBatch(first));
        return finishKeeping();
    }

private:
    bool continues(const SiteStatistics& known, const SiteProgress& now) const
    {
        return known.source == m_task.cases.fingerprint && known.in == now.site.in &&
               known.readers == now.site.readers && holds(known, now.kept);
    }

    /// Turns to the next batch and returns its first window; the number of windows when all are done.
    std::int64_t turnToNext()
    {
        const WindowRange batch = nextBatch(m_sites, m_task.cases.count, m_task.settings.batchWindows);
        m_after = batch.after;
        return batch.first;
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
        QL_TRY(groups, groupsOf(first));
        for (std::size_t s = 0; s < m_sites.size(); ++s) {
            if (s < segments) {
                QL_CHECK(runSegment(s, s + 1 == segments, groups));
            } else {
                QL_CHECK(finishKeeping());
                m_context.progress().addDone(count);
                announce(s, m_after);
            }
        }
        return {};
    }

    Result<std::vector<Group>> groupsOf(std::int64_t first) const
    {
        std::vector<Group> groups;
        for (std::int64_t end = first; first < m_after; first = end) {
            end = std::min(m_after, first + m_task.cases.perRun());
            QL_TRY(batch, m_task.cases.batch(first, end, m_context));
            groups.push_back({end - first, std::move(batch.inputs)});
        }
        return groups;
    }

    /// The statistics of a site so far.
    Result<SiteStatistics> startOf(const SiteProgress& site) const
    {
        if (site.windows == 0) {
            SiteStatistics statistics(site.site.readers, site.site.in, site.kept.gram, site.kept.blockSize);
            statistics.source = m_task.cases.fingerprint;
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
        if (m_keeping.segment == number) // the statistics to go on from
            QL_CHECK(finishKeeping());
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
        QL_CHECK(finishKeeping());
        std::vector<std::string> keys;
        std::int64_t bytes = 0;
        for (std::size_t i = 0; i < left.size(); ++i) {
            statistics[i].windows = left[i]->windows = m_after;
            bytes += std::ssize(statistics[i].gram) * std::int64_t{sizeof(double)};
            keys.push_back(left[i]->site.key);
        }
        m_keeping = {
            number, m_after,
            std::async(std::launch::async, [this, keys = std::move(keys), its = std::move(statistics)]() mutable {
                return keep(keys, its);
            })};
        return bytes > kKeptMeanwhile ? finishKeeping() : Result<void>();
    }

    Result<void> keep(const std::vector<std::string>& keys, std::vector<SiteStatistics>& statistics) const
    {
        for (std::size_t i = 0; i < keys.size(); ++i) {
            const std::vector<std::byte> bytes = statistics[i].encode();
            statistics[i] = {}; // may be gigabytes
            QL_CHECK(m_task.sink.keep(keys[i], bytes));
        }
        return {};
    }

    Result<void> finishKeeping()
    {
        if (!m_keeping.done.valid())
            return {};
        QL_CHECK(m_keeping.done.get());
        announce(m_keeping.segment, m_keeping.windows);
        return {};
    }

    void announce(std::size_t segment, std::int64_t windows) const
    {
        if (m_task.onBlock)
            m_task.onBlock(m_task.graph.segments[segment].block, windows);
    }

    /// Adds what the sites that are left see of all groups.
    Result<void> runGroups(const Segment& part, bool isLast, const std::vector<SiteProgress*>& left,
                           std::vector<SiteStatistics>& statistics, std::vector<Group>& groups) const
    {
        QL_TRY(weights, graph::loadWeights<float>(m_task.graph, part, m_task.weights, m_context));
        for (Group& group : groups) {
            std::vector<bool> seen(left.size()); // a site is looked at once, however many layers read it
            const auto look = [&](ValueId value, const Node* node, const Array<float>& x) -> Result<void> {
                for (std::size_t i = 0; i < left.size(); ++i) {
                    const Site& site = left[i]->site;
                    if (seen[i] || site.value != value || (site.convolution && site.convolution != node))
                        continue;
                    seen[i] = true;
                    QL_CHECK(add(site, x, statistics[i]));
                    if (!statistics[i].isFinite())
                        return notFinite("the inputs of layer '" + nameOf(site) + "'");
                }
                return {};
            };
            graph::ForwardOptions<float> options;
            options.layerInput = [&](const Node& node, std::int64_t, Array<float>& x) {
                return look(node.inputs[static_cast<std::size_t>(node.op->activations)], &node, x);
            };
            QL_CHECK(graph::forward(m_task.graph, part, weights, group.values, m_context, options));
            if (isLast) // the nodes that read them were not run
                for (const SiteProgress* site : left)
                    if (const auto value = group.values.find(site->site.value); value != group.values.end())
                        QL_CHECK(look(site->site.value, site->site.convolution, value->second.real));
            m_context.progress().addDone(group.windows);
        }
        return {};
    }

    const std::string& nameOf(const Site& site) const
    {
        return m_task.model.layers[static_cast<std::size_t>(site.readers.front().layer)].name;
    }

    Result<void> add(const Site& site, const Array<float>& x, SiteStatistics& statistics) const
    {
        if (!site.convolution)
            return statistics.add(x, m_context);
        const Shape& weights = m_task.model.layers[static_cast<std::size_t>(site.readers.front().layer)].shape;
        const auto take = [&](const Array<float>& rows) { return statistics.add(rows, m_context); };
        QL_CHECK(forUnfoldedInputs(*site.convolution, weights, x, take, m_context));
        statistics.tokenAbsmax.clear(); // places are no tokens
        return {};
    }

    const CalibrationTask& m_task;
    const JobContext& m_context;
    std::vector<std::vector<SiteProgress>> m_sites; // of each segment
    std::int64_t m_after = 0;                       // one past the last window of the batch
    Keeping m_keeping;
};

} // namespace

CalibrationCost calibrationCost(const Model& model, const Graph& graph, const CalibrationSettings& settings,
                                std::int64_t windows, std::int64_t length)
{
    CalibrationCost cost;
    const std::int64_t tokens = windows * length;
    std::int64_t segmentBytes = 0; // the largest segment's weights and statistics
    std::int64_t beside = 0;       // what is left of the segment before
    std::int64_t width = 0;
    const auto sites = sitesOf(model, graph);
    for (std::size_t s = 0; s < graph.segments.size(); ++s) {
        std::int64_t statistics = 0;
        std::int64_t largest = 0; // of a site
        for (const Site& site : sites[s]) {
            const Kept kept = keptOf(settings, site);
            const std::int64_t bytes =
                8 * (SiteStatistics::gramSize(site.in, kept.gram, kept.blockSize) + GrowingHistogram::kBins) +
                16 * site.in + (site.convolution ? 0 : 4 * tokens);
            statistics += bytes;
            largest = std::max(largest, bytes);
            width = std::max(width, site.in);
            if (site.convolution)
                continue;
            const std::int64_t perChannel = kept.gram == GramKind::full     ? site.in
                                            : kept.gram == GramKind::blocks ? std::min(site.in, kept.blockSize)
                                                                            : 1;
            cost.multiplyAdds += static_cast<double>(tokens) * static_cast<double>(site.in * perChannel);
        }
        std::int64_t weights = 0;
        for (const std::int64_t layer : graph.layersOf(s))
            weights += model.layers[static_cast<std::size_t>(layer)].numel() * 4;
        cost.resultBytes += statistics;
        // On its way into the study a site's statistics are there three times, beside the next segment if they are not
        // too large.
        const std::int64_t onTheirWay = statistics + 2 * largest;
        segmentBytes = std::max({segmentBytes, beside + weights + statistics, onTheirWay});
        beside = statistics > kKeptMeanwhile ? 0 : onTheirWay;
    }
    cost.multiplyAdds += static_cast<double>(tokens) * multiplyAddsPerToken(model, graph);
    const std::int64_t batch = std::min(settings.batchWindows, windows) * length;
    const std::int64_t hidden = static_cast<std::int64_t>(model.configNumber("hidden_size").value_or(0));
    // Hidden states of a batch; inside a segment some arrays of a group's tokens at the largest width.
    cost.memoryBytes = segmentBytes + 4 * batch * hidden + 6 * 4 * std::min(batch, Cases::kTokensPerRun) * width;
    return cost;
}

Result<void> calibrate(const CalibrationTask& task, const JobContext& context)
{
    if (task.graph.inputs.empty())
        return refused("takes no inputs", task.model.checkpoint->path().string());
    return Calibration(task, context).run();
}

} // namespace ql
