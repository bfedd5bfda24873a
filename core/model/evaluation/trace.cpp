// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/trace.h"

#include "core/model/evaluation/row_difference.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

using graph::Array;
using graph::Values;

/// Windows that go through a segment together.
struct Group {
    Values<float> model, other;
    Values<float> alone; // what enters the segment from the model
};

/// Of the hidden states that leave a segment: what its nodes made and later ones read.
Result<RowDifference> differenceOf(const graph::Graph& graph, const graph::Segment& segment, const Values<float>& model,
                                   const Values<float>& other, const JobContext& context)
{
    RowDifference sums;
    for (std::size_t n = segment.begin; n < segment.end; ++n)
        for (const graph::ValueId id : graph.nodes[n].outputs) {
            const auto made = model.find(id);
            if (made == model.end() || !made->second.real)
                continue;
            QL_TRY(part, rowDifference(made->second.real, other.at(id).real, context));
            sums.add(part);
        }
    return sums;
}

HiddenError errorOf(const RowDifference& sums)
{
    HiddenError error;
    if (sums.squares > 0)
        error.relativeRmse = std::sqrt(sums.errors / sums.squares);
    if (sums.rows > 0)
        error.cosine = sums.cosines / static_cast<double>(sums.rows);
    return error;
}

} // namespace

Result<std::vector<SegmentTrace>> trace(const TraceTask& task, const JobContext& context)
{
    const graph::Graph& graph = task.graph;
    std::span<const graph::Segment> segments(graph.segments);
    if (segments.size() > 1 && segments.back().rowwise)
        segments = segments.first(segments.size() - 1);
    std::vector<Group> groups;
    for (std::int64_t first = 0; first < task.windows.count(); first += task.windows.perGroup()) {
        const auto ids = task.windows.group(first);
        Array<std::int64_t> tokens({std::ssize(ids) / task.windows.length, task.windows.length});
        std::ranges::copy(ids, tokens.write());
        Group& group = groups.emplace_back();
        group.model[graph.inputs.front()].integers = tokens;
        group.other = group.model;
    }
    std::vector<SegmentTrace> traces;
    context.progress().addTotal(std::ssize(segments) * std::ssize(groups));
    for (const graph::Segment& segment : segments) {
        {
            QL_TRY(weights, graph::loadWeights<float>(graph, segment, *task.model.weights, context));
            for (Group& group : groups) {
                group.alone = group.model;
                QL_CHECK(graph::forward(graph, segment, weights, group.model, context, task.model.options(true)));
            }
        }
        QL_TRY(weights, graph::loadWeights<float>(graph, segment, *task.other.weights, context));
        RowDifference alone;
        RowDifference accumulated;
        for (Group& group : groups) {
            Values<float> made = std::move(group.alone);
            for (auto& [values, sums] : {std::pair(&made, &alone), {&group.other, &accumulated}}) {
                QL_CHECK(graph::forward(graph, segment, weights, *values, context, task.other.options(true)));
                QL_TRY(part, differenceOf(graph, segment, group.model, *values, context));
                sums->add(part);
            }
            context.progress().addDone(1);
        }
        traces.push_back({segment.name, segment.block, errorOf(alone), errorOf(accumulated)});
        if (task.onSegment)
            task.onSegment(traces.back());
    }
    return traces;
}

} // namespace ql
