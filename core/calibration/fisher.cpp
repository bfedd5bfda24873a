// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/fisher.h"

#include "core/base/hash.h"
#include "core/calibration/gradient_sums.h"
#include "core/calibration/next_batch.h"
#include "core/calibration/reduce.h"
#include "core/model/evaluation/loss_gradients.h"
#include "core/model/evaluation/run_cost.h"

#include <array>

namespace ql {

namespace {

using graph::Graph;
using graph::Node;

/// What is kept of a layer where a segment uses it.
enum class Kind { diagonal, lossGram, outputGram };
struct Use {
    std::int64_t layer = 0;
    Kind kind = Kind::diagonal;
    std::int64_t number = 0;  // earlier segments have it, too
    std::int64_t parts = 1;   // of LayerLossGram
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

bool keepsGram(const FisherSettings& settings, std::int64_t layer, Kind kind, std::int64_t side)
{
    if (kind == Kind::outputGram && !settings.outputGram)
        return false;
    return side <= settings.gramLimit || std::ranges::find(settings.gramOf, layer) != settings.gramOf.end();
}

/// Columns of the Gram matrix of a use.
std::int64_t gramSide(const Layer& layer, const Use& use)
{
    return use.kind == Kind::lossGram ? inputsOf(layer) : layer.shape.front() / use.parts;
}

/// Layers that linear nodes of a segment multiply by, with the parts that see inputs of their own.
std::map<std::int64_t, std::int64_t> linearLayers(const Model& model, const Graph& graph, std::size_t segment)
{
    std::map<std::int64_t, std::int64_t> layers;
    for (std::size_t n = graph.segments[segment].begin; n < graph.segments[segment].end; ++n) {
        const Node& node = graph.nodes[n];
        const std::int64_t layer = graph.layerOf(node);
        if (layer >= 0 && node.op->id == "linear" && node.integer("transposed", 0) == 0 &&
            model.layers[static_cast<std::size_t>(layer)].shape.size() == 2)
            layers[layer] = node.integer("experts", 1);
    }
    return layers;
}

/// Of each segment.
std::vector<std::vector<Use>> usesOf(const Model& model, const Graph& graph, const FisherSettings& settings)
{
    std::vector<std::vector<Use>> uses(graph.segments.size());
    std::map<std::pair<std::int64_t, Kind>, std::int64_t> numbers;
    for (std::size_t segment = 0; segment < uses.size(); ++segment) {
        const auto linear = linearLayers(model, graph, segment);
        for (const std::int64_t layer : graph.layersOf(segment)) {
            const Layer& its = model.layers[static_cast<std::size_t>(layer)];
            if (!its.quantizable)
                continue;
            uses[segment].push_back({.layer = layer, .number = numbers[{layer, Kind::diagonal}]++});
            const auto found = linear.find(layer);
            for (const Kind kind : {Kind::lossGram, Kind::outputGram}) {
                Use use{.layer = layer,
                        .kind = kind,
                        .number = 0,
                        .parts = found == linear.end() ? 1 : found->second,
                        .windows = 0};
                if (found == linear.end() || !keepsGram(settings, layer, kind, gramSide(its, use)))
                    continue;
                use.number = numbers[{layer, kind}]++;
                uses[segment].push_back(use);
            }
        }
    }
    return uses;
}

/// Adds what a batch's gradients say, a segment at a time, to what the sink holds of the windows before.
class GradientPieces final : public GradientSink<float> {
public:
    GradientPieces(const FisherTask& task, const JobContext& context)
        : m_task(task),
          m_context(context),
          m_source(sourceOf(task)),
          m_uses(usesOf(task.model, task.graph, task.settings))
    {
        for (std::vector<Use>& uses : m_uses)
            for (Use& use : uses)
                use.windows = keptWindows(use);
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
        return std::ranges::any_of(m_uses[segment],
                                   [&](const Use& use) { return use.layer == layer && use.windows < m_after; });
    }

    Result<void> enter(std::size_t segment) override
    {
        for (Use& use : m_uses[segment])
            if (use.windows < m_after) {
                QL_TRY(sums, startOf(use));
                m_sums[use.layer].push_back({&use, std::move(sums)});
            }
        return {};
    }

    Result<void> add(std::int64_t layer, std::span<const WeightUse<float>> uses) override
    {
        for (Open& open : m_sums.at(layer))
            QL_CHECK(open.sums->add(uses, m_context));
        return {};
    }

    Result<void> leave(std::size_t) override
    {
        QL_CHECK(m_task.model.checkpoint->checkIntact());
        for (auto& [layer, opened] : m_sums)
            for (Open& open : opened) {
                Use& use = *open.use;
                QL_TRY(piece, open.sums->piece(m_after, m_after * m_task.windows.length, chance(use), m_context));
                open.sums.reset();
                QL_CHECK(m_task.sink.keep(keyOf(use), piece));
                use.windows = m_after;
            }
        m_sums.clear();
        return {};
    }

private:
    struct Open {
        Use* use;
        std::unique_ptr<GradientSums> sums;
    };

    const Layer& layerOf(const Use& use) const { return m_task.model.layers[static_cast<std::size_t>(use.layer)]; }
    std::string keyOf(const Use& use) const
    {
        return use.kind == Kind::diagonal   ? fisherKey(layerOf(use).name, use.number)
               : use.kind == Kind::lossGram ? lossGramKey(layerOf(use).name, use.number)
                                            : outputGramKey(layerOf(use).name, use.number);
    }

    // Whether it is of this layer, text and seed.
    bool fits(const Use& use, const LayerFisher& fisher) const
    {
        return fisher.source == m_source && fisher.rows == layerOf(use).shape.front() &&
               fisher.rows * fisher.columns == layerOf(use).numel();
    }
    bool fits(const Use& use, const LayerLossGram& gram) const
    {
        return gram.source == m_source && gram.in == gramSide(layerOf(use), use) && gram.parts == use.parts;
    }

    template<typename Piece>
    std::int64_t windowsIn(const Use& use) const
    {
        const auto head = m_task.sink.findHead(keyOf(use), Piece::kHeadBytes);
        const auto kept = head ? Piece::decodeHead(*head) : std::nullopt;
        return kept && fits(use, *kept) ? kept->windows : 0;
    }
    std::int64_t keptWindows(const Use& use) const
    {
        return use.kind == Kind::diagonal ? windowsIn<LayerFisher>(use) : windowsIn<LayerLossGram>(use);
    }

    /// What was kept, or `fresh` where nothing was.
    template<typename Piece>
    Result<Piece> keptOr(const Use& use, Piece fresh) const
    {
        if (use.windows == 0)
            return fresh;
        const auto bytes = m_task.sink.find(keyOf(use));
        auto kept = bytes ? Piece::decode(*bytes) : std::nullopt;
        if (!kept || !fits(use, *kept))
            return ioError("its Fisher sums cannot be read any more; open the study again", layerOf(use).name);
        return std::move(*kept);
    }

    Result<std::unique_ptr<GradientSums>> startOf(const Use& use) const
    {
        if (use.kind != Kind::diagonal) {
            LayerLossGram gram;
            gram.source = m_source;
            gram.in = gramSide(layerOf(use), use);
            gram.parts = use.parts;
            QL_TRY(kept, keptOr(use, std::move(gram)));
            return use.kind == Kind::lossGram ? lossGramSums(std::move(kept), m_context)
                                              : outputGramSums(std::move(kept), m_context);
        }
        LayerFisher fisher;
        fisher.source = m_source;
        fisher.rows = layerOf(use).shape.front();
        fisher.columns = layerOf(use).numel() / fisher.rows;
        QL_TRY(kept, keptOr(use, std::move(fisher)));
        return fisherSums(std::move(kept), m_context);
    }

    /// Numbers for rounding: each batch of each use has its own, and none are those that draw labels.
    CounterRng chance(const Use& use) const
    {
        const std::int64_t stream = m_after + (use.layer << 32) + (use.number << 56);
        return CounterRng(~m_task.settings.seed, static_cast<std::uint64_t>(stream));
    }

    const FisherTask& m_task;
    const JobContext& m_context;
    std::string m_source;
    std::vector<std::vector<Use>> m_uses;             // of each segment
    std::map<std::int64_t, std::vector<Open>> m_sums; // of the segment at hand, by layer
    std::int64_t m_after = 0;                         // one past the last window of the batch
};

} // namespace

void FisherSettings::keepGramsAs(const CalibrationSettings& calibration)
{
    gramLimit = calibration.gram == GramKind::full ? calibration.fullLimit : 0;
    gramOf = calibration.full;
}

CalibrationCost fisherCost(const Model& model, const Graph& graph, const FisherSettings& settings, std::int64_t windows,
                           std::int64_t length)
{
    CalibrationCost cost;
    const std::int64_t count = settings.count(windows);
    const auto tokens = static_cast<double>(count * length);
    const auto uses = usesOf(model, graph, settings);
    std::int64_t segmentBytes = 0;
    for (std::size_t segment = 0; segment < uses.size(); ++segment) {
        std::int64_t weights = 0;
        std::int64_t grams = 0;        // numbers of Gram matrices
        std::int64_t onItsWay = 0;     // the largest piece's copies on its way into the study, bytes
        std::int64_t largestInput = 0; // a window's tokens, weighted
        for (const Use& use : uses[segment]) {
            const Layer& layer = model.layers[static_cast<std::size_t>(use.layer)];
            if (use.kind == Kind::diagonal) {
                weights += layer.numel();
                onItsWay = std::max(onItsWay, 6 * layer.numel());
                continue;
            }
            const std::int64_t side = gramSide(layer, use);
            const std::int64_t size = use.parts * LayerLossGram::halfSize(side);
            grams += size;
            onItsWay = std::max(onItsWay, 12 * size);
            largestInput = std::max(largestInput, side);
            cost.multiplyAdds += tokens * static_cast<double>(LayerLossGram::halfSize(side));
        }
        cost.resultBytes += 2 * weights + 4 * grams;
        // Decoded weights and sums; the largest piece on its way into the study.
        segmentBytes = std::max(segmentBytes, 8 * weights + 8 * grams + onItsWay + 4 * length * largestInput +
                                                  4 * activationFloats(model, graph, graph.segments[segment], length));
    }
    // Forward twice, and backward to inputs and to weights.
    cost.multiplyAdds += 4 * tokens * multiplyAddsPerToken(model, graph);
    const std::int64_t batch = std::min(settings.batchWindows, count);
    const auto hidden = static_cast<std::int64_t>(model.configNumber("hidden_size").value_or(0));
    cost.memoryBytes = segmentBytes + 4 * batch * length * hidden * (std::ssize(graph.segments) + 1);
    return cost;
}

Result<void> estimateFisher(const FisherTask& task, const JobContext& context)
{
    GradientPieces sums(task, context);
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

std::string lossGramKey(const std::string& layerName, std::int64_t use)
{
    return "loss_gram/" + std::to_string(use) + "/" + layerName;
}

namespace {
std::vector<LayerLossGram> keptGramHeads(const ResultSink& sink, const std::string& layerName,
                                         std::string (*keyOf)(const std::string&, std::int64_t))
{
    std::vector<LayerLossGram> heads;
    for (std::int64_t use = 0;; ++use) {
        const auto bytes = sink.findHead(keyOf(layerName, use), LayerLossGram::kHeadBytes);
        auto head = bytes ? LayerLossGram::decodeHead(*bytes) : std::nullopt;
        const bool fits = head && (use == 0 || (head->in == heads.front().in && head->parts == heads.front().parts));
        if (!fits)
            return heads;
        heads.push_back(std::move(*head));
    }
}
} // namespace

std::vector<LayerLossGram> keptLossGramHeads(const ResultSink& sink, const std::string& layerName)
{
    return keptGramHeads(sink, layerName, lossGramKey);
}

std::string outputGramKey(const std::string& layerName, std::int64_t use)
{
    return "output_gram/" + std::to_string(use) + "/" + layerName;
}

std::vector<LayerLossGram> keptOutputGramHeads(const ResultSink& sink, const std::string& layerName)
{
    return keptGramHeads(sink, layerName, outputGramKey);
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
