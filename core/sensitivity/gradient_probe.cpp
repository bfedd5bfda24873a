// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/gradient_probe.h"

#include "core/base/hash.h"
#include "core/calibration/next_batch.h"
#include "core/formats/tensor_additions.h"
#include "core/model/evaluation/loss_gradients.h"
#include "core/model/evaluation/run_cost.h"
#include "core/model/graph/stored_weights.h"
#include "core/realize/realize.h"
#include "core/sensitivity/cell.h"
#include "core/sensitivity/input_rounding.h"
#include "core/sensitivity/weight_differences.h"
#include "core/sensitivity/window_mean.h"
#include "core/tensor/half.h"

#include <array>
#include <cmath>
#include <cstring>
#include <mutex>

namespace ql {

namespace {

/// Layers up to this size are coded side by side, each on one thread.
constexpr std::int64_t kSmallLayer = std::int64_t{1} << 22;
constexpr std::int64_t kGrainElements = std::int64_t{1} << 16;

struct Cell {
    std::int64_t layer = 0;
    std::size_t column = 0;
    Candidate candidate; // completed by the target
    std::string key;     // in the sink
    double predicted = std::numeric_limits<double>::quiet_NaN();
    std::vector<double> products;
    std::vector<double> rounding;                 // of inputs, if a runtime is asked for: as many
    std::int64_t windows = 0;                     // behind them
    bool isCoded = false;                         // has been, at least once
    std::vector<double> pending, pendingRounding; // of the batch at hand
    std::shared_ptr<const QuantizedTensor> codes; // held for later
};

/// One that is open in the segment at hand, with ΔW as bf16.
struct OpenCell {
    Cell* cell = nullptr;
    std::vector<std::uint16_t> delta;
};

struct OpenLayer {
    std::vector<OpenCell> cells;
    graph::Array<float> weights; // where a runtime is asked for
};

/// ½·mean(p²), 0 without products; its error is infinite for one.
WindowMean halfMeanSquare(const std::vector<double>& products)
{
    std::vector<double> halves;
    for (const double p : products)
        halves.push_back(0.5 * p * p);
    return products.empty() ? WindowMean{} : meanOf(halves);
}

std::int64_t bytesOf(const QuantizedTensor& codes)
{
    return codes.codes.sizeBytes() + 4 * std::ssize(codes.scales) + 4 * std::ssize(codes.minima) +
           2 * std::ssize(codes.zeroPoints) + (codes.additions ? codes.additions->sizeBytes() : 0);
}

class Probing final : public GradientSink<float> {
public:
    Probing(const GradientProbeTask& task, const std::function<void(const ProbedCell&)>& deliver,
            const JobContext& context)
        : m_task(task),
          m_deliver(deliver),
          m_context(context),
          m_source(sourceOf(task)),
          m_cells(task.model.layers.size())
    {}

    Result<void> run()
    {
        QL_TRY(scored, scoredPerWindow(m_task.windows.length, m_task.settings.scored));
        // What follows the window is predicted, too, but not known.
        m_tokens = m_task.settings.labels == ProbeLabels::drawn ? scored + 1 : scored;
        prepare();
        const std::int64_t total = m_task.count();
        const auto batchFrom = [&] { return nextBatch(m_cells, total, m_task.settings.batchWindows); };
        WindowRange batch = batchFrom();
        announceWork(total - batch.first);
        for (; batch.first < total; batch = batchFrom()) {
            m_first = batch.first;
            m_after = batch.after;
            const auto batchSize = static_cast<std::size_t>(m_after - m_first);
            forEachOpen([&](Cell& cell) {
                cell.pending.assign(batchSize, 0.0);
                cell.pendingRounding.assign(m_task.runtime ? batchSize : 0, 0.0);
            });
            QL_CHECK(lossGradients<float>(
                {m_task.graph, m_task.weights, m_task.windows, m_first, m_after - m_first, labels()}, *this,
                m_context));
            QL_CHECK(finishBatch());
        }
        return {};
    }

    bool wants(std::size_t, std::int64_t layer) const override
    {
        return std::ranges::any_of(m_cells[static_cast<std::size_t>(layer)],
                                   [&](const Cell& cell) { return isOpen(cell); });
    }

    Result<void> enter(std::size_t segment) override
    {
        std::vector<std::int64_t> small;
        std::vector<std::int64_t> large;
        std::int64_t bytes = 0;
        for (const std::int64_t layer : m_task.graph.layersOf(segment)) {
            if (!wants(segment, layer))
                continue;
            std::vector<OpenCell>& open = m_open[layer].cells;
            for (Cell& cell : m_cells[static_cast<std::size_t>(layer)])
                if (isOpen(cell))
                    open.push_back({.cell = &cell, .delta = {}});
            bytes += (2 * std::ssize(open) + (m_task.runtime ? 4 : 0)) * layerAt(layer).numel();
            (layerAt(layer).numel() <= kSmallLayer ? small : large).push_back(layer);
        }
        QL_CHECK(m_context.checkMemory(bytes, "the changes of a block's weights"));
        // Those that feedback takes longest for come first, and threads that are left without a layer help with the
        // others.
        std::ranges::stable_sort(small, std::ranges::greater(), [&](std::int64_t layer) {
            return layerAt(layer).numel() * layerAt(layer).shape.back();
        });
        const JobContext quiet(m_context.executor(), m_context.stopToken()); // progress counts cells
        QL_CHECK(parallelFor(m_context, std::ssize(small), 1, [&](std::int64_t begin, std::int64_t) {
            return realizeLayer(small[static_cast<std::size_t>(begin)], quiet);
        }));
        for (const std::int64_t layer : large)
            QL_CHECK(realizeLayer(layer, quiet));
        return {};
    }

    void turnTo(std::int64_t window) override { m_window = window; }

    Result<void> add(std::int64_t layer, std::span<const WeightUse<float>> uses) override
    {
        if (m_task.runtime)
            QL_CHECK(addRounding(layer, uses));
        const std::vector<OpenCell>& open = m_open.at(layer).cells;
        const std::int64_t columns = matrixShape(layerAt(layer).shape).cols;
        QL_TRY(products, sumOverTiles<float>(
                             uses, open.size(),
                             [&](const GradientTile<float>& tile, std::span<double> its) {
                                 for (std::size_t i = 0; i < open.size(); ++i) {
                                     const auto* const delta = open[i].delta.data() + tile.row * columns + tile.column;
                                     CompensatedSum sum;
                                     for (std::int64_t r = 0; r < tile.rows; ++r)
                                         sum.add(graph::productWithBf16(delta + r * columns,
                                                                        tile.data + r * tile.columns, tile.columns));
                                     its[i] = sum.value();
                                 }
                             },
                             m_context));
        for (std::size_t i = 0; i < open.size(); ++i)
            open[i].cell->pending[static_cast<std::size_t>(m_window - m_first)] += products[i];
        return {};
    }

    Result<void> leave(std::size_t) override
    {
        m_open.clear();
        return m_task.model.checkpoint->checkIntact();
    }

private:
    const Layer& layerAt(std::int64_t layer) const { return m_task.model.layers[static_cast<std::size_t>(layer)]; }
    bool isOpen(const Cell& cell) const { return cell.windows < m_after; }
    template<typename Do>
    void forEachOpen(const Do& what)
    {
        for (std::vector<Cell>& cells : m_cells)
            for (Cell& cell : cells)
                if (isOpen(cell))
                    what(cell);
    }

    /// What the runtime's roundings of the layer's inputs add; cells share them by the type of their blocks.
    Result<void> addRounding(std::int64_t layer, std::span<const WeightUse<float>> uses)
    {
        const auto linear = std::ranges::find_if(uses, [](const auto& use) { return bool(use.input); });
        if (linear == uses.end())
            return {};
        const OpenLayer& its = m_open.at(layer);
        std::vector<Runtime::Round> roundings;
        std::vector<Runtime::Round> ofCells;
        for (const OpenCell& open : its.cells) {
            ofCells.push_back(roundingOf(*m_task.runtime, layerAt(layer), open.cell->candidate, linear->input.width()));
            if (ofCells.back() && std::ranges::find(roundings, ofCells.back()) == roundings.end())
                roundings.push_back(ofCells.back());
        }
        QL_TRY(products, roundingProducts(uses, its.weights, roundings, m_context));
        for (std::size_t i = 0; i < ofCells.size(); ++i)
            if (const auto at = std::ranges::find(roundings, ofCells[i]); at != roundings.end())
                its.cells[i].cell->pendingRounding[static_cast<std::size_t>(m_window - m_first)] +=
                    products[static_cast<std::size_t>(at - roundings.begin())];
        return {};
    }

    /// Labels of the scored tokens and, if they are drawn, of the one that follows.
    Labels<float> labels() const
    {
        const std::int64_t first = firstScored(m_task.windows.length, m_task.settings.scored) - 1;
        return [first, all = m_task.settings.labels == ProbeLabels::drawn ? sampledLabels<float>(m_task.settings.seed)
                                                                          : nextTokens<float>(m_task.windows)](
                   std::int64_t window, std::int64_t position, std::span<const float> probabilities) {
            return position < first ? -1 : all(window, position, probabilities);
        };
    }

    /// Names text and settings.
    static std::string sourceOf(const GradientProbeTask& task)
    {
        Hasher hasher;
        const bool isDrawn = task.settings.labels == ProbeLabels::drawn;
        const std::array<std::uint64_t, 3> settings{static_cast<std::uint64_t>(task.windows.length),
                                                    static_cast<std::uint64_t>(task.settings.scored),
                                                    isDrawn ? task.settings.seed : 0};
        if (!isDrawn)
            hasher.add("labels of the text");
        hasher.add(std::as_bytes(std::span(settings)));
        hasher.add(std::as_bytes(std::span(task.windows.ids)));
        return hasher.hex();
    }

    std::string keyOf(const Layer& layer, const Candidate& candidate) const
    {
        Hasher hasher;
        const auto add = [&](std::string_view text) {
            hasher.add(std::to_string(text.size()) + ":");
            hasher.add(text);
        };
        add("gradient probe 1");
        if (m_task.runtime)
            add(m_task.runtime->id);
        add(m_task.model.checkpoint->fingerprint());
        add(layer.name);
        add(printCandidate(candidate));
        add(m_task.metric ? m_task.metric->id : "");
        add(m_task.activations ? m_task.activations->fingerprint() : "");
        add(m_source);
        return "gradient_probe/" + hasher.hex();
    }

    /// Finds what is known; delivers what needs no work.
    void prepare()
    {
        for (const std::int64_t layer : m_task.layers)
            for (std::size_t column = 0; column < m_task.candidates.size(); ++column) {
                const auto candidate =
                    admitted(m_task.model, layer, m_task.candidates[column], m_task.target, m_task.activations);
                Cell cell{.layer = layer,
                          .column = column,
                          .candidate = candidate ? *candidate : m_task.candidates[column],
                          .key = {},
                          .products = {},
                          .rounding = {},
                          .pending = {},
                          .pendingRounding = {},
                          .codes = {}};
                if (!candidate || candidate->weights.isKeep()) {
                    cell.predicted = candidate ? 0 : std::numeric_limits<double>::quiet_NaN();
                    deliver(cell, candidate.has_value());
                    continue;
                }
                if (m_task.sink) {
                    cell.key = keyOf(layerAt(layer), cell.candidate);
                    find(cell);
                }
                if (cell.windows >= m_task.count())
                    deliver(cell, true);
                m_cells[static_cast<std::size_t>(layer)].push_back(std::move(cell));
            }
    }

    /// What the sink holds of the cell: what the metric predicts, products and, if a runtime is asked for, as many of
    /// its rounding, doubles in the machine's byte order.
    void find(Cell& cell) const
    {
        const auto bytes = m_task.sink->find(cell.key);
        if (!bytes || bytes->size() <= sizeof(double) || bytes->size() % sizeof(double) != 0)
            return;
        std::vector<double> values(bytes->size() / sizeof(double));
        std::memcpy(values.data(), bytes->data(), bytes->size());
        cell.predicted = values.front();
        const std::size_t windows = (values.size() - 1) / (m_task.runtime ? 2 : 1);
        const auto middle = values.begin() + 1 + static_cast<std::ptrdiff_t>(windows);
        cell.products.assign(values.begin() + 1, middle);
        cell.rounding.assign(middle, values.end());
        cell.windows = std::ssize(cell.products);
    }

    void announceWork(std::int64_t windows) const
    {
        std::int64_t units = gradientUnits(m_task.graph, windows);
        for (const std::vector<Cell>& cells : m_cells)
            for (const Cell& cell : cells)
                if (cell.windows < m_task.count())
                    units += codingUnits(cell.layer);
        m_context.progress().addTotal(units);
    }
    std::int64_t codingUnits(std::int64_t layer) const { return 1 + (layerAt(layer).numel() >> 18U); }

    Result<void> realizeLayer(std::int64_t layer, const JobContext& context)
    {
        auto done = realizeOpen(layer, context);
        if (!done && done.error().where.empty())
            return Error{done.error().code, done.error().what, layerAt(layer).name};
        return done;
    }

    Result<void> realizeOpen(std::int64_t layer, const JobContext& context)
    {
        QL_CHECK(context.checkStop());
        std::vector<OpenCell>& open = m_open.at(layer).cells;
        QL_TRY(weights, m_task.model.loadWeights(layer, context));
        if (m_task.runtime) {
            QL_TRY(its, graph::decoded<float>(weights, context));
            m_open.at(layer).weights = std::move(its);
        }
        std::vector<const Candidate*> uncoded;
        for (const OpenCell& it : open)
            if (!it.cell->codes)
                uncoded.push_back(&it.cell->candidate);
        LayerKnowledge known;
        if (!uncoded.empty()) {
            const auto metrics = m_task.metric ? std::vector{m_task.metric} : std::vector<const Metric*>();
            QL_TRY(found, knowledgeOf(m_task.activations, layer, metrics, uncoded, context));
            known = std::move(found);
        }
        for (OpenCell& it : open) {
            Cell& cell = *it.cell;
            auto codes = cell.codes;
            const ErrorStats error; // no metric of gradients looks at it
            if (!codes) {
                QL_TRY(shared, sharedAbsMax(m_task.model, layer, cell.candidate, context));
                QL_TRY(made, realize(weights.view, cell.candidate, known.activations.get(), context, nullptr, shared));
                codes = std::make_shared<const QuantizedTensor>(std::move(made));
                hold(cell, codes);
            }
            const MetricInput input{.model = m_task.model,
                                    .layer = layer,
                                    .weights = weights.view,
                                    .quantized = *codes,
                                    .error = error,
                                    .activations = known.activations.get(),
                                    .fisher = known.fisher.get()};
            if (m_task.metric && std::isnan(cell.predicted) && known.fisher) {
                QL_TRY(predicted, m_task.metric->measure(input, context));
                cell.predicted = predicted;
            }
            QL_CHECK(takeDelta(input, it.delta, context));
        }
        return {};
    }

    /// Ŵ − W as bf16.
    static Result<void> takeDelta(const MetricInput& input, std::vector<std::uint16_t>& delta,
                                  const JobContext& context)
    {
        const auto [rows, cols] = input.quantized.matrix();
        delta.resize(static_cast<std::size_t>(rows * cols));
        const std::int64_t grain = std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(1, cols));
        return parallelFor(context, rows, grain, [&, cols = cols](std::int64_t begin, std::int64_t end) {
            std::vector<double> differences(static_cast<std::size_t>((end - begin) * cols));
            metrics::weightDifferences(input, begin, end, differences.data());
            std::ranges::transform(differences, delta.begin() + begin * cols,
                                   [](double d) { return bf16FromFloat(static_cast<float>(-d)); });
        });
    }

    /// For the next time the layer's weights are used, where a quantizer took long.
    void hold(Cell& cell, const std::shared_ptr<const QuantizedTensor>& codes)
    {
        const std::lock_guard lock(m_holding);
        m_context.progress().addDone(cell.isCoded ? 0 : codingUnits(cell.layer));
        cell.isCoded = true;
        const bool isQuick = cell.candidate.quantizer.id == "rtn" && cell.candidate.weights.additions.empty();
        const std::int64_t bytes = bytesOf(*codes);
        if (isQuick || cell.candidate.weights.isCast() || m_heldBytes + bytes > m_task.settings.codesLimitBytes)
            return;
        m_heldBytes += bytes;
        cell.codes = codes;
    }

    Result<void> finishBatch()
    {
        for (std::vector<Cell>& cells : m_cells)
            for (Cell& cell : cells) {
                if (!isOpen(cell))
                    continue;
                cell.products.insert(cell.products.end(), cell.pending.begin(), cell.pending.end());
                cell.rounding.insert(cell.rounding.end(), cell.pendingRounding.begin(), cell.pendingRounding.end());
                cell.windows = m_after;
                if (m_task.sink) {
                    std::vector<double> values{cell.predicted};
                    values.insert(values.end(), cell.products.begin(), cell.products.end());
                    values.insert(values.end(), cell.rounding.begin(), cell.rounding.end());
                    QL_CHECK(m_task.sink->keep(cell.key, std::as_bytes(std::span(values))));
                }
                deliver(cell, true);
            }
        return m_task.onBatch ? m_task.onBatch(m_after) : Result<void>();
    }

    void deliver(const Cell& cell, bool allowed) const
    {
        m_deliver({.layer = cell.layer,
                   .candidate = cell.column,
                   .allowed = allowed,
                   .predicted = cell.predicted,
                   .tokens = m_tokens,
                   .products = cell.products,
                   .rounding = cell.rounding});
    }

    const GradientProbeTask& m_task;
    const std::function<void(const ProbedCell&)>& m_deliver;
    const JobContext& m_context;
    std::string m_source;
    std::vector<std::vector<Cell>> m_cells;   // of each layer of the model
    std::map<std::int64_t, OpenLayer> m_open; // of the segment at hand
    std::int64_t m_tokens = 0;
    std::int64_t m_first = 0; // window of the batch …
    std::int64_t m_after = 0; // … and one past its last
    std::int64_t m_window = 0;
    std::mutex m_holding; // of what follows
    std::int64_t m_heldBytes = 0;
};

} // namespace

double ProbedCell::loss() const
{
    return halfMeanSquare(products).value / static_cast<double>(tokens);
}

double ProbedCell::standardError() const
{
    return halfMeanSquare(products).standardError / static_cast<double>(tokens);
}

double ProbedCell::roundingLoss() const
{
    return halfMeanSquare(rounding).value / static_cast<double>(tokens);
}

double ProbedCell::roundingError() const
{
    return halfMeanSquare(rounding).standardError / static_cast<double>(tokens);
}

double ProbedCell::slope() const
{
    return products.empty() ? 0.0 : meanOf(products).value / static_cast<double>(tokens);
}

double ProbedCell::slopeError() const
{
    return products.empty() ? 0.0 : meanOf(products).standardError / static_cast<double>(tokens);
}

CalibrationCost gradientProbeCost(const GradientProbeTask& task)
{
    CalibrationCost cost;
    const std::int64_t length = task.windows.length;
    const std::int64_t columns = std::ssize(task.candidates);
    std::int64_t largest = 0;
    std::int64_t codes = 0;
    for (const graph::Segment& segment : task.graph.segments) {
        const auto number = static_cast<std::size_t>(&segment - task.graph.segments.data());
        std::int64_t weights = 0;
        std::int64_t changes = 0;
        for (const std::int64_t layer : task.graph.layersOf(number)) {
            const std::int64_t size = task.model.layers[static_cast<std::size_t>(layer)].numel();
            weights += task.runtime ? 2 * size : size;
            if (std::ranges::find(task.layers, layer) != task.layers.end())
                changes += size * columns;
        }
        codes += changes;
        largest = std::max(largest,
                           4 * weights + 2 * changes + 4 * activationFloats(task.model, task.graph, segment, length));
    }
    const std::int64_t batch = std::min(task.settings.batchWindows, task.count());
    const auto hidden = static_cast<std::int64_t>(task.model.configNumber("hidden_size").value_or(0));
    cost.memoryBytes = largest + std::min(codes, task.settings.codesLimitBytes) +
                       4 * batch * length * hidden * (std::ssize(task.graph.segments) + 1);
    cost.resultBytes = std::ssize(task.layers) * columns * 8 * ((task.runtime ? 2 : 1) * task.count() + 1);
    cost.multiplyAdds = 4 * multiplyAddsPerToken(task.model, task.graph) * static_cast<double>(task.count() * length);
    return cost;
}

Result<void> probeGradients(const GradientProbeTask& task, const std::function<void(const ProbedCell&)>& deliver,
                            const JobContext& context)
{
    if (task.target)
        QL_CHECK(task.target->acceptsModel(task.model));
    return Probing(task, deliver, context).run();
}

} // namespace ql
