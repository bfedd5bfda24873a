// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/fisher.h"

#include "core/base/hash.h"
#include "core/calibration/next_batch.h"
#include "core/model/evaluation/loss_gradients.h"
#include "core/model/graph/row_kernels.h"
#include "core/tensor/half.h"

#include <array>

namespace ql {

namespace {

using graph::Graph;
using graph::Node;

constexpr std::int64_t kPiece = 1 << 20; // of sums, between two stop tests

/// A layer where a segment uses it.
struct Use {
    std::int64_t layer = 0;
    std::int64_t number = 0;  // earlier segments use it, too
    std::int64_t windows = 0; // that are behind what the sink holds
};

std::string sourceOf(const FisherTask& task)
{
    Hasher hasher;
    hasher.add(std::as_bytes(std::span(task.windows.ids)));
    const std::array<std::uint64_t, 2> settings{static_cast<std::uint64_t>(task.windows.length), task.settings.seed};
    hasher.add(std::as_bytes(std::span(settings)));
    return hasher.hex();
}

/// Of each segment.
std::vector<std::vector<Use>> usesOf(const Model& model, const Graph& graph)
{
    std::vector<std::vector<Use>> uses(graph.segments.size());
    std::map<std::int64_t, std::int64_t> numbers;
    for (std::size_t segment = 0; segment < uses.size(); ++segment)
        for (const std::int64_t layer : graph.layersOf(segment))
            if (model.layers[static_cast<std::size_t>(layer)].quantizable)
                uses[segment].push_back({layer, numbers[layer]++, 0});
    return uses;
}

/// Adds the squares of a batch's gradients, a segment at a time, to what the sink holds of the windows before.
class SquareSums final : public GradientSink<float> {
public:
    SquareSums(const FisherTask& task, const JobContext& context)
        : m_task(task), m_context(context), m_source(sourceOf(task)), m_uses(usesOf(task.model, task.graph))
    {
        for (std::vector<Use>& uses : m_uses)
            for (Use& use : uses) {
                const auto head = task.sink.findHead(keyOf(use), LayerFisher::kHeadBytes);
                const auto kept = head ? LayerFisher::decodeHead(*head) : std::nullopt;
                use.windows = kept && fits(use, *kept) ? kept->windows : 0;
            }
    }

    /// Turns to the next batch and returns its first window; the number of windows when all are done.
    std::int64_t turnToNext()
    {
        const WindowRange batch = nextBatch(m_uses, m_task.count(), m_task.settings.batchWindows);
        m_after = batch.after;
        return batch.first;
    }
    /// One past the last window of the batch.
    std::int64_t after() const { return m_after; }

    bool wants(std::size_t segment, std::int64_t layer) const override
    {
        const auto use = std::ranges::find(m_uses[segment], layer, &Use::layer);
        return use != m_uses[segment].end() && use->windows < m_after;
    }

    Result<void> enter(std::size_t segment) override
    {
        for (const Use& use : m_uses[segment]) {
            if (use.windows >= m_after)
                continue;
            Sums& sums = m_sums[use.layer];
            const Layer& layer = m_task.model.layers[static_cast<std::size_t>(use.layer)];
            if (auto kept = find(use)) {
                sums.fisher = std::move(*kept);
                sums.squares.resize(sums.fisher.sums.size());
                QL_CHECK(parallelFor(m_context, layer.numel(), kPiece, [&](std::int64_t begin, std::int64_t end) {
                    const std::uint16_t* from = sums.fisher.sums.data();
                    std::transform(from + begin, from + end, sums.squares.data() + begin, floatFromBf16);
                }));
            } else if (use.windows > 0) {
                return ioError("its Fisher sums cannot be read any more; open the study again", layer.name);
            } else {
                sums.fisher.source = m_source;
                sums.fisher.rows = layer.shape.front();
                sums.fisher.columns = layer.numel() / sums.fisher.rows;
                sums.squares.resize(static_cast<std::size_t>(layer.numel()));
            }
        }
        return {};
    }

    Result<void> add(std::int64_t layer, std::span<const WeightUse<float>> uses) override
    {
        Sums& sums = m_sums.at(layer);
        float* squares = sums.squares.data();
        const std::int64_t columns = sums.fisher.columns;
        QL_CHECK(forEachTile<float>(
            uses,
            [&](const GradientTile<float>& tile) {
                for (std::int64_t r = 0; r < tile.rows; ++r)
                    graph::addSquaresTo(squares + (tile.row + r) * columns + tile.column, tile.data + r * tile.columns,
                                        tile.columns);
            },
            m_context));
        for (const WeightUse<float>& use : uses)
            if (use.outputGradient)
                QL_CHECK(addOutputs(use, sums.fisher));
        return {};
    }

    Result<void> leave(std::size_t segment) override
    {
        QL_CHECK(m_task.model.checkpoint->checkIntact());
        for (Use& use : m_uses[segment]) {
            if (use.windows >= m_after)
                continue;
            LayerFisher& fisher = m_sums.at(use.layer).fisher;
            fisher.windows = m_after;
            fisher.tokens = m_after * m_task.windows.length;
            QL_TRY(rounded, roundedByChance(m_sums.at(use.layer).squares, chance(use), m_context));
            fisher.sums = std::move(rounded);
            QL_CHECK(m_task.sink.keep(keyOf(use), fisher.encode()));
            use.windows = m_after;
            m_sums.erase(use.layer);
        }
        return {};
    }

private:
    struct Sums {
        LayerFisher fisher;
        std::vector<float> squares;
    };

    std::string keyOf(const Use& use) const
    {
        return fisherKey(m_task.model.layers[static_cast<std::size_t>(use.layer)].name, use.number);
    }

    /// Whether it is of this layer, text and seed.
    bool fits(const Use& use, const LayerFisher& fisher) const
    {
        const Layer& layer = m_task.model.layers[static_cast<std::size_t>(use.layer)];
        return fisher.source == m_source && fisher.rows == layer.shape.front() &&
               fisher.rows * fisher.columns == layer.numel();
    }

    std::optional<LayerFisher> find(const Use& use) const
    {
        const auto bytes = m_task.sink.find(keyOf(use));
        auto fisher = bytes ? LayerFisher::decode(*bytes) : std::nullopt;
        return fisher && fits(use, *fisher) ? std::move(fisher) : std::nullopt;
    }

    /// Numbers for rounding: each batch of each use has its own, and none are those that draw labels.
    CounterRng chance(const Use& use) const
    {
        const std::int64_t stream = m_after + (use.layer << 32) + (use.number << 56);
        return CounterRng(~m_task.settings.seed, static_cast<std::uint64_t>(stream));
    }

    Result<void> addOutputs(const WeightUse<float>& use, LayerFisher& fisher) const
    {
        constexpr std::int64_t kColumns = 512;
        fisher.outputSquares.resize(static_cast<std::size_t>(fisher.rows));
        const graph::Array<float>& gradient = use.outputGradient;
        double* squares = fisher.outputSquares.data() + use.firstRow;
        return parallelFor(m_context, gradient.width(), kColumns, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t t = 0; t < gradient.rows(); ++t)
                graph::addSquaresTo(squares + begin, gradient.data() + t * gradient.width() + begin, end - begin);
        });
    }

    const FisherTask& m_task;
    const JobContext& m_context;
    std::string m_source;
    std::vector<std::vector<Use>> m_uses; // of each segment
    std::map<std::int64_t, Sums> m_sums;  // of the segment at hand
    std::int64_t m_after = 0;             // one past the last window of the batch
};

/// Floats of one window's activations in a segment: what its linear nodes take and make, twice for the gradients.
std::int64_t activationFloats(const FisherTask& task, const graph::Segment& segment)
{
    std::int64_t widths = 0;
    for (std::size_t n = segment.begin; n < segment.end; ++n) {
        const Node& node = task.graph.nodes[n];
        if (node.op->id != "linear")
            continue;
        if (const std::int64_t layer = task.graph.layerOf(node); layer >= 0)
            for (const std::int64_t size : task.model.layers[static_cast<std::size_t>(layer)].shape)
                widths += size;
    }
    return 2 * task.windows.length * widths;
}

} // namespace

CalibrationCost fisherCost(const FisherTask& task)
{
    CalibrationCost cost;
    const auto uses = usesOf(task.model, task.graph);
    std::int64_t segmentBytes = 0;
    for (std::size_t segment = 0; segment < uses.size(); ++segment) {
        std::int64_t weights = 0;
        std::int64_t largest = 0;
        for (const Use& use : uses[segment]) {
            weights += task.model.layers[static_cast<std::size_t>(use.layer)].numel();
            largest = std::max(largest, task.model.layers[static_cast<std::size_t>(use.layer)].numel());
        }
        cost.resultBytes += 2 * weights;
        // Decoded weights and sums; the largest layer's on its way into the study.
        segmentBytes = std::max(segmentBytes,
                                8 * weights + 6 * largest + 4 * activationFloats(task, task.graph.segments[segment]));
    }
    const std::int64_t windows = std::min(task.settings.batchWindows, task.count());
    const auto hidden = static_cast<std::int64_t>(task.model.configNumber("hidden_size").value_or(0));
    cost.memoryBytes =
        segmentBytes + 4 * windows * task.windows.length * hidden * (std::ssize(task.graph.segments) + 1);
    return cost;
}

Result<void> estimateFisher(const FisherTask& task, const JobContext& context)
{
    SquareSums sums(task, context);
    const std::int64_t total = task.count();
    std::int64_t first = sums.turnToNext();
    context.progress().addTotal(gradientUnits(task.graph, total - first));
    for (; first < total; first = sums.turnToNext()) {
        QL_CHECK(lossGradients<float>({task.graph, task.weights, task.windows, first, sums.after() - first,
                                       sampledLabels<float>(task.settings.seed)},
                                      sums, context));
        if (task.onBatch)
            QL_CHECK(task.onBatch(sums.after()));
    }
    return {};
}

std::string fisherKey(const std::string& layerName, std::int64_t use)
{
    return "fisher/" + std::to_string(use) + "/" + layerName;
}

std::vector<LayerFisher> keptFisherHeads(const ResultSink& sink, const std::string& layerName)
{
    std::vector<LayerFisher> heads;
    for (std::int64_t use = 0;; ++use) {
        const auto bytes = sink.findHead(fisherKey(layerName, use), LayerFisher::kHeadBytes);
        auto head = bytes ? LayerFisher::decodeHead(*bytes) : std::nullopt;
        const bool fits =
            head && (use == 0 || (head->rows == heads.front().rows && head->columns == heads.front().columns));
        if (!fits)
            return heads;
        heads.push_back(std::move(*head));
    }
}

std::optional<FisherDiagonal> keptFisher(const ResultSink& sink, const std::string& layerName)
{
    FisherDiagonal diagonal;
    const std::int64_t uses = std::ssize(keptFisherHeads(sink, layerName));
    for (std::int64_t use = 0; use < uses; ++use) {
        const auto bytes = sink.find(fisherKey(layerName, use));
        auto fisher = bytes ? LayerFisher::decode(*bytes) : std::nullopt;
        if (!fisher)
            return std::nullopt;
        diagonal.uses.push_back(std::move(*fisher));
    }
    return diagonal.uses.empty() ? std::nullopt : std::optional(std::move(diagonal));
}

} // namespace ql
