// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/depth_figures.h"

#include "core/base/hash.h"
#include "core/jobs/parallel.h"
#include "core/model/evaluation/row_difference.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

using graph::Array;
using graph::Node;
using graph::Segment;
using graph::ValueId;
using graph::Values;

constexpr std::int64_t kChannelGrain = 16;

/// The value by which hidden states go through a segment: what it makes and later ones read, of the shape of what it
/// reads from before. kLeftOut if that is not one value.
struct Passage {
    ValueId in = graph::kLeftOut, out = graph::kLeftOut;
};

Passage passageOf(const graph::Graph& graph, const Segment& segment, const Values<float>& before)
{
    Passage passage;
    for (std::size_t n = segment.begin; n < segment.end; ++n) {
        for (const ValueId id : graph.nodes[n].outputs)
            if (graph.lastUse[static_cast<std::size_t>(id)] >= segment.end) {
                if (passage.out != graph::kLeftOut)
                    return {};
                passage.out = id;
            }
        for (const ValueId id : graph.nodes[n].inputs) {
            const auto found = before.find(id);
            if (found == before.end() || !found->second.real || found->second.real.shape().size() < 2)
                continue;
            if (passage.in != graph::kLeftOut && passage.in != id)
                return {};
            passage.in = id;
        }
    }
    return passage.in == graph::kLeftOut || passage.out == graph::kLeftOut ? Passage() : passage;
}

/// What the layers of a segment that read one value see of it.
struct SeenValue {
    std::vector<ChannelEntropy> channels;
    std::vector<std::int64_t> layers;
};

Result<void> addTo(SeenValue& site, const Array<float>& x, const JobContext& context)
{
    const std::int64_t width = x.width();
    const std::int64_t rows = x.rows();
    site.channels.resize(static_cast<std::size_t>(width));
    const float* data = x.data();
    return parallelFor(context, width, kChannelGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t c = begin; c < end; ++c)
                site.channels[static_cast<std::size_t>(c)].add(static_cast<double>(data[r * width + c]));
    });
}

class Depth {
public:
    Depth(const DepthTask& task, const JobContext& context) : m_task(task), m_context(context)
    {
        Hasher hasher;
        hasher.add("depth 1");
        hasher.add(std::as_bytes(std::span(task.windows.ids)));
        hasher.add(std::to_string(task.windows.length));
        m_source = hasher.hex();
    }

    Result<void> run()
    {
        const graph::Graph& graph = m_task.graph;
        std::size_t end = graph.segments.size(); // the head, which makes logits of hidden states, is left out
        while (end > 0 && (graph.segments[end - 1].block < 0 || isKnown(end - 1)))
            --end;
        std::vector<Values<float>> groups = makeGroups();
        m_context.progress().addTotal(static_cast<std::int64_t>(end) * std::ssize(groups));
        for (std::size_t s = 0; s < end; ++s)
            QL_CHECK(runSegment(s, groups));
        return m_task.model.checkpoint->checkIntact();
    }

private:
    const std::string& nameOf(std::int64_t layer) const
    {
        return m_task.model.layers[static_cast<std::size_t>(layer)].name;
    }

    bool isKnown(std::size_t segment) const
    {
        return std::ranges::all_of(m_task.graph.layersOf(segment), [&](std::int64_t layer) {
            if (!m_task.model.layers[static_cast<std::size_t>(layer)].quantizable)
                return true;
            const auto bytes = m_task.sink.find(figuresKey(FigureKind::depth, nameOf(layer)));
            const auto figures = bytes ? LayerFigures::decode(*bytes) : std::nullopt;
            return figures && figures->source == m_source;
        });
    }

    std::vector<Values<float>> makeGroups() const
    {
        const Windows& windows = m_task.windows;
        std::vector<Values<float>> groups;
        for (std::int64_t first = 0; first < windows.count(); first += windows.perGroup()) {
            const auto ids = windows.group(first);
            Array<std::int64_t> tokens({std::ssize(ids) / windows.length, windows.length});
            std::ranges::copy(ids, tokens.write());
            groups.emplace_back()[m_task.graph.inputs.front()].integers = tokens;
        }
        return groups;
    }

    Result<void> runSegment(std::size_t number, std::vector<Values<float>>& groups) const
    {
        const Segment& segment = m_task.graph.segments[number];
        QL_TRY(weights, graph::loadWeights<float>(m_task.graph, segment, m_task.weights, m_context));
        std::map<ValueId, SeenValue> sites;
        RowDifference passed;
        for (Values<float>& values : groups) {
            const Passage passage = passageOf(m_task.graph, segment, values);
            const Array<float> before = passage.in < 0 ? Array<float>() : values.at(passage.in).real;
            std::vector<ValueId> seen; // a value is looked at once, however many layers read it
            graph::ForwardOptions<float> options;
            options.layerInput = [&](const Node& node, std::int64_t layer, Array<float>& x) -> Result<void> {
                const ValueId value = node.inputs[static_cast<std::size_t>(node.op->activations)];
                SeenValue& site = sites[value];
                if (std::ranges::find(site.layers, layer) == site.layers.end())
                    site.layers.push_back(layer);
                if (std::ranges::find(seen, value) != seen.end())
                    return {};
                seen.push_back(value);
                return addTo(site, x, m_context);
            };
            QL_CHECK(graph::forward(m_task.graph, segment, weights, values, m_context, options));
            if (passage.out >= 0 && before && values.at(passage.out).real.shape() == before.shape()) {
                QL_TRY(part, rowDifference(before, values.at(passage.out).real, m_context));
                passed.add(part);
            }
            m_context.progress().addDone(1);
        }
        return keep(segment, sites, passed);
    }

    Result<void> keep(const Segment& segment, const std::map<ValueId, SeenValue>& sites,
                      const RowDifference& passed) const
    {
        for (const auto& [value, site] : sites) {
            LayerFigures figures{.source = m_source, .values = {}};
            double l1 = 0;
            double l2 = 0;
            for (const ChannelEntropy& channel : site.channels) {
                l1 += channel.l1();
                l2 += channel.l2();
            }
            const auto channels = static_cast<double>(site.channels.size());
            figures.values["entropy_l1"] = l1 / channels;
            figures.values["entropy_l2"] = l2 / channels;
            if (segment.block >= 0 && passed.rows > 0)
                figures.values["lim"] = -passed.cosines / static_cast<double>(passed.rows);
            for (const std::int64_t layer : site.layers)
                QL_CHECK(m_task.sink.keep(figuresKey(FigureKind::depth, nameOf(layer)), figures.encode()));
        }
        return {};
    }

    const DepthTask& m_task;
    const JobContext& m_context;
    std::string m_source;
};

} // namespace

void ChannelEntropy::add(double x)
{
    const double size = std::fabs(x);
    if (size == 0)
        return;
    sum += size;
    squares += size * size;
    logs += size * std::log(size);
}

double ChannelEntropy::l1() const
{
    return sum > 0 ? std::log(sum) - logs / sum : 0;
}

double ChannelEntropy::l2() const
{
    const double norm = std::sqrt(squares);
    return norm > 0 ? (std::log(norm) * sum - logs) / norm : 0;
}

Result<void> measureDepth(const DepthTask& task, const JobContext& context)
{
    return Depth(task, context).run();
}

} // namespace ql
