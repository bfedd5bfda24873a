// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/norm_statistics.h"

#include "core/base/sum.h"
#include "core/jobs/parallel.h"
#include "core/model/evaluation/not_finite.h"
#include "core/model/graph/operator.h"

#include <cmath>

namespace ql {

namespace {

using graph::Array;
using graph::Values;

constexpr std::int64_t kChannelsAtATime = 16;

/// Of one channel: y the model's, z the plan's.
struct Sums {
    CompensatedSum y, z, yy, zz, yz;
    std::int64_t count = 0;
};

/// Where the elements of a channel are: element i of [outer, channels, inner].
struct Layout {
    std::int64_t outer = 1, channels = 1, inner = 1;
};

Layout layoutOf(const graph::Node& node, const Norm& norm, const Shape& shape)
{
    Layout layout{.outer = 1, .channels = norm.channels, .inner = 1};
    if (node.op->id == "batch_norm") {
        for (std::size_t d = 2; d < shape.size(); ++d)
            layout.inner *= shape[d];
        layout.outer = shape.front();
    } else {
        layout.outer = numel(shape) / std::max<std::int64_t>(1, norm.channels);
    }
    return layout;
}

struct Line {
    double scale = 1;
    double shift = 0;
};

/// a and d of a channel; the plan's own where nothing can be said.
Line lineOf(const Sums& sums, bool hasBias, NormMatch match)
{
    if (sums.count == 0)
        return {};
    const auto n = static_cast<double>(sums.count);
    const double meanY = hasBias ? sums.y.value() / n : 0;
    const double meanZ = hasBias ? sums.z.value() / n : 0;
    const double yy = sums.yy.value() / n - meanY * meanY;
    const double zz = sums.zz.value() / n - meanZ * meanZ;
    const double yz = sums.yz.value() / n - meanY * meanZ;
    double scale = match == NormMatch::leastSquares ? yz / zz : std::sqrt(yy / zz);
    if (!(zz > 0) || !std::isfinite(scale) || !(scale > 0))
        scale = 1;
    return {.scale = scale, .shift = hasBias ? meanY - scale * meanZ : 0};
}

class Repair {
public:
    Repair(const NormStatisticsTask& task, const JobContext& context) : m_task(task), m_context(context) {}

    Result<void> start()
    {
        const std::int64_t together = m_task.cases.perRun();
        for (std::int64_t first = 0; first < m_task.cases.count; first += together) {
            QL_TRY(batch, m_task.cases.batch(first, std::min(m_task.cases.count, first + together), m_context));
            m_planned.push_back(batch.inputs);
            m_own.push_back(std::move(batch.inputs));
        }
        return {};
    }

    /// Both versions through nodes [begin, end).
    Result<void> pass(std::size_t begin, std::size_t end)
    {
        graph::Segment piece{.name = {}, .block = -1, .rowwise = false, .begin = begin, .end = end};
        for (const auto& [version, batches] : {std::pair(&m_task.own, &m_own), {&m_task.planned, &m_planned}}) {
            QL_TRY(weights, graph::loadWeights<float>(m_task.graph, piece, *version->weights, m_context));
            for (Values<float>& values : *batches) {
                QL_CHECK(graph::forward(m_task.graph, piece, weights, values, m_context, version->options(true)));
                m_context.progress().addDone(1);
            }
        }
        return {};
    }

    /// Compares what the norm gives and changes the plan's.
    Result<std::vector<Line>> match(const Norm& norm)
    {
        const graph::Node& node = m_task.graph.nodes[norm.node];
        const graph::ValueId id = node.outputs.front();
        std::vector<Sums> sums(static_cast<std::size_t>(norm.channels));
        for (std::size_t b = 0; b < m_own.size(); ++b)
            QL_CHECK(add(m_own[b].at(id).real, m_planned[b].at(id).real, node, norm, sums));
        std::vector<Line> lines;
        for (const Sums& channel : sums) {
            if (!std::isfinite(channel.yy.value()) || !std::isfinite(channel.zz.value()))
                return notFinite("the outputs of " + node.name);
            lines.push_back(lineOf(channel, norm.bias >= 0, m_task.match));
        }
        for (Values<float>& values : m_planned)
            QL_CHECK(apply(lines, node, norm, values.at(id).real));
        return lines;
    }

    std::int64_t batches() const { return std::ssize(m_own); }

private:
    Result<void> add(const Array<float>& own, const Array<float>& planned, const graph::Node& node, const Norm& norm,
                     std::vector<Sums>& sums) const
    {
        const Layout layout = layoutOf(node, norm, own.shape());
        if (planned.shape() != own.shape())
            return refused("gives other shapes under the plan", node.name);
        return parallelFor(m_context, layout.channels, kChannelsAtATime, [&](std::int64_t begin, std::int64_t end) {
            struct Part {
                double y = 0, z = 0, yy = 0, zz = 0, yz = 0;
            };
            std::vector<Part> parts(static_cast<std::size_t>(end - begin)); // of one outer index, then compensated
            for (std::int64_t o = 0; o < layout.outer; ++o)
                for (std::int64_t c = begin; c < end; ++c) {
                    Part part;
                    const std::int64_t at = (o * layout.channels + c) * layout.inner;
                    for (std::int64_t i = at; i < at + layout.inner; ++i) {
                        const auto y = static_cast<double>(own.data()[i]);
                        const auto z = static_cast<double>(planned.data()[i]);
                        part.y += y;
                        part.z += z;
                        part.yy += y * y;
                        part.zz += z * z;
                        part.yz += y * z;
                    }
                    Sums& sum = sums[static_cast<std::size_t>(c)];
                    sum.y.add(part.y);
                    sum.z.add(part.z);
                    sum.yy.add(part.yy);
                    sum.zz.add(part.zz);
                    sum.yz.add(part.yz);
                    sum.count += layout.inner;
                }
        });
    }

    Result<void> apply(const std::vector<Line>& lines, const graph::Node& node, const Norm& norm,
                       Array<float>& values) const
    {
        const Layout layout = layoutOf(node, norm, values.shape());
        float* const to = values.write();
        return parallelFor(m_context, layout.outer, graph::rowGrain(layout.channels * layout.inner),
                           [&](std::int64_t begin, std::int64_t end) {
                               for (std::int64_t o = begin; o < end; ++o)
                                   for (std::int64_t c = 0; c < layout.channels; ++c) {
                                       const Line& line = lines[static_cast<std::size_t>(c)];
                                       const std::int64_t at = (o * layout.channels + c) * layout.inner;
                                       for (std::int64_t i = at; i < at + layout.inner; ++i)
                                           to[i] =
                                               static_cast<float>(line.scale * static_cast<double>(to[i]) + line.shift);
                                   }
                           });
    }

    const NormStatisticsTask& m_task;
    const JobContext& m_context;
    std::vector<Values<float>> m_own, m_planned; // of cases that run together
};

Result<void> store(const Model& model, const Norm& norm, const std::vector<Line>& lines,
                   std::vector<RepairedTensor>& repaired, const JobContext& context)
{
    QL_TRY(gain, vectorOf(model, norm.gain, context));
    RepairedTensor tensor{.layer = norm.gain, .values = {}};
    for (std::size_t c = 0; c < gain.size(); ++c)
        tensor.values.push_back(static_cast<float>(lines[c].scale * (norm.offset + gain[c]) - norm.offset));
    repaired.push_back(std::move(tensor));
    if (norm.bias < 0)
        return {};
    QL_TRY(bias, vectorOf(model, norm.bias, context));
    RepairedTensor shifted{.layer = norm.bias, .values = {}};
    for (std::size_t c = 0; c < bias.size(); ++c)
        shifted.values.push_back(static_cast<float>(lines[c].scale * bias[c] + lines[c].shift));
    repaired.push_back(std::move(shifted));
    return {};
}

} // namespace

Result<std::vector<RepairedTensor>> repairByStatistics(const NormStatisticsTask& task, std::span<const Norm> norms,
                                                       const JobContext& context)
{
    std::vector<RepairedTensor> repaired;
    Repair repair(task, context);
    QL_CHECK(repair.start());
    context.progress().addTotal(2 * repair.batches() * std::ssize(norms));
    std::size_t begin = 0;
    for (const Norm& norm : norms) {
        QL_CHECK(repair.pass(begin, norm.node + 1));
        begin = norm.node + 1;
        QL_TRY(lines, repair.match(norm));
        QL_CHECK(store(task.model, norm, lines, repaired, context));
    }
    return repaired;
}

} // namespace ql
