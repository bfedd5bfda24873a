// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/trace.h"

#include "core/jobs/parallel.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

using graph::Array;
using graph::Values;

/// Sums over tokens, which parallel parts add up in order.
struct HiddenSums {
    double difference = 0; // Σ (ĥ − h)²
    double square = 0;     // Σ h²
    double cosine = 0;
    std::int64_t tokens = 0;
};

HiddenSums sumsOfToken(const float* h, const float* other, std::int64_t width)
{
    HiddenSums sums;
    double product = 0;
    double otherSquare = 0;
    for (std::int64_t i = 0; i < width; ++i) {
        const auto a = static_cast<double>(h[i]);
        const auto b = static_cast<double>(other[i]);
        sums.difference += (b - a) * (b - a);
        sums.square += a * a;
        otherSquare += b * b;
        product += a * b;
    }
    if (sums.square > 0 && otherSquare > 0)
        sums.cosine = product / std::sqrt(sums.square * otherSquare);
    else
        sums.cosine = sums.square == otherSquare ? 1 : 0;
    sums.tokens = 1;
    return sums;
}

void add(HiddenSums& sums, const HiddenSums& more)
{
    sums.difference += more.difference;
    sums.square += more.square;
    sums.cosine += more.cosine;
    sums.tokens += more.tokens;
}

/// Of the hidden states that leave a segment: what its nodes made and later ones read.
Result<HiddenError> errorOf(const graph::Graph& graph, const graph::Segment& segment, const Values<float>& model,
                            const Values<float>& other, const JobContext& context)
{
    HiddenSums sums;
    for (std::size_t n = segment.begin; n < segment.end; ++n)
        for (const graph::ValueId id : graph.nodes[n].outputs) {
            const auto made = model.find(id);
            if (made == model.end() || !made->second.real)
                continue;
            const Array<float>& h = made->second.real;
            const Array<float>& o = other.at(id).real;
            const std::int64_t width = h.width();
            QL_TRY(part, deterministicReduce(
                             context, h.rows(), graph::rowGrain(width), HiddenSums(),
                             [&](std::int64_t begin, std::int64_t end) {
                                 HiddenSums part;
                                 for (std::int64_t row = begin; row < end; ++row)
                                     add(part, sumsOfToken(h.data() + row * width, o.data() + row * width, width));
                                 return part;
                             },
                             [](HiddenSums& into, const HiddenSums& next) { add(into, next); }));
            add(sums, part);
        }
    HiddenError error;
    if (sums.square > 0)
        error.relativeRmse = std::sqrt(sums.difference / sums.square);
    if (sums.tokens > 0)
        error.cosine = sums.cosine / static_cast<double>(sums.tokens);
    return error;
}

} // namespace

Result<std::vector<SegmentTrace>> trace(const TraceTask& task, const JobContext& context)
{
    const graph::Graph& graph = task.graph;
    std::span<const graph::Segment> segments(graph.segments);
    if (segments.size() > 1 && segments.back().rowwise)
        segments = segments.first(segments.size() - 1);
    Array<std::int64_t> tokens({task.windows.count(), task.windows.length});
    std::ranges::copy(task.windows.ids, tokens.write());
    Values<float> model;
    model[graph.inputs.front()].integers = tokens;
    Values<float> other = model;
    std::vector<SegmentTrace> traces;
    context.progress().addTotal(std::ssize(segments));
    for (const graph::Segment& segment : segments) {
        Values<float> alone = model;
        {
            QL_TRY(weights, graph::loadWeights<float>(graph, segment, *task.model.weights, context));
            QL_CHECK(graph::forward(graph, segment, weights, model, context, task.model.options(true)));
        }
        QL_TRY(weights, graph::loadWeights<float>(graph, segment, *task.other.weights, context));
        for (Values<float>* values : {&alone, &other})
            QL_CHECK(graph::forward(graph, segment, weights, *values, context, task.other.options(true)));
        SegmentTrace made{segment.name, segment.block, {}, {}};
        QL_TRY(aloneError, errorOf(graph, segment, model, alone, context));
        QL_TRY(accumulatedError, errorOf(graph, segment, model, other, context));
        made.alone = aloneError;
        made.accumulated = accumulatedError;
        traces.push_back(made);
        context.progress().addDone(1);
        if (task.onSegment)
            task.onSegment(made);
    }
    return traces;
}

} // namespace ql
