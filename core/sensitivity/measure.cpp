// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hash.h"
#include "core/jobs/parallel.h"
#include "core/realize/realize.h"
#include "core/sensitivity/cell.h"

#include <cstring>
#include <limits>
#include <mutex>

namespace ql {

namespace {

/// Layers up to this size are measured side by side, each on one thread, so that many small ones keep all cores busy;
/// larger ones follow one by one with all threads inside.
constexpr std::int64_t kSmallLayer = std::int64_t{1} << 22;

/// A cell that remains to be measured.
struct Cell {
    std::size_t column = 0;
    Candidate candidate; // completed by the target
    std::string key;     // in the sink
};
struct LayerWork {
    std::int64_t layer = 0;
    std::vector<Cell> cells;
};

std::string keyOf(const Model& model, const Layer& layer, const Candidate& candidate, const MeasureRequest& request)
{
    Hasher hasher;
    const auto add = [&](std::string_view text) {
        hasher.add(std::to_string(text.size()) + ":");
        hasher.add(text);
    };
    add("measurement 2");
    add(model.checkpoint->fingerprint());
    add(layer.name);
    add(printCandidate(candidate));
    for (const Metric* metric : request.metrics)
        add(metric ? metric->id : "");
    add(request.activations ? request.activations->fingerprint() : "");
    return "measurement/" + hasher.hex();
}

/// A finished cell in the sink: doubles in the machine's byte order.
std::vector<std::byte> pack(const Measurement& cell)
{
    std::vector<double> values{cell.error.sumSquaredError, cell.error.sumSquares, cell.error.maxAbsError,
                               static_cast<double>(cell.error.count)};
    values.insert(values.end(), cell.losses.begin(), cell.losses.end());
    values.insert(values.end(), cell.ofLayer.begin(), cell.ofLayer.end());
    const auto bytes = std::as_bytes(std::span(values));
    return {bytes.begin(), bytes.end()};
}

bool unpack(std::span<const std::byte> bytes, std::size_t metrics, Measurement& cell)
{
    std::vector<double> values(4 + 2 * metrics);
    if (bytes.size() != values.size() * sizeof(double))
        return false;
    std::memcpy(values.data(), bytes.data(), bytes.size());
    cell.error = {.sumSquaredError = values[0],
                  .sumSquares = values[1],
                  .maxAbsError = values[2],
                  .count = static_cast<std::int64_t>(values[3])};
    const auto ofLayer = values.begin() + 4 + static_cast<std::ptrdiff_t>(metrics);
    cell.losses.assign(values.begin() + 4, ofLayer);
    cell.ofLayer.assign(ofLayer, values.end());
    return true;
}

double relativeError(const ErrorStats& error)
{
    return error.sumSquares > 0 ? error.sumSquaredError / error.sumSquares : 0;
}

class Measuring {
public:
    Measuring(const Model& model, const MeasureRequest& request, const std::function<void(const Measurement&)>& deliver,
              const JobContext& context)
        : m_model(model), m_request(request), m_deliver(deliver), m_context(context)
    {}

    Result<void> run()
    {
        for (const std::int64_t layer : m_request.layers)
            m_context.progress().addTotal(cellUnits(layer) * std::ssize(m_request.candidates));
        std::vector<LayerWork> small;
        std::vector<LayerWork> large;
        for (const std::int64_t layer : m_request.layers) {
            QL_CHECK(m_context.checkStop());
            LayerWork work = prepare(layer);
            if (!work.cells.empty())
                (layerAt(layer).numel() <= kSmallLayer ? small : large).push_back(std::move(work));
        }
        Executor inlined(1, Executor::Backend::threads); // runs everything on the calling thread
        QL_CHECK(parallelFor(m_context, std::ssize(small), 1, [&](std::int64_t begin, std::int64_t) {
            return measureLayer(small[static_cast<std::size_t>(begin)], JobContext(inlined, m_context.stopToken()));
        }));
        for (const LayerWork& work : large)
            QL_CHECK(measureLayer(work, JobContext(m_context.executor(), m_context.stopToken())));
        return m_context.checkStop();
    }

private:
    const Layer& layerAt(std::int64_t layer) const { return m_model.layers[static_cast<std::size_t>(layer)]; }
    std::int64_t cellUnits(std::int64_t layer) const { return std::max<std::int64_t>(1, layerAt(layer).numel()); }

    /// Delivers what needs no work and returns the rest.
    LayerWork prepare(std::int64_t layer)
    {
        LayerWork work{.layer = layer, .cells = {}};
        for (std::size_t column = 0; column < m_request.candidates.size(); ++column) {
            Measurement cell{.layer = layer, .candidate = column, .error = {}, .losses = {}, .allowed = true};
            cell.losses.assign(m_request.metrics.size(), std::numeric_limits<double>::quiet_NaN());
            cell.ofLayer = cell.losses;
            const auto candidate =
                admitted(m_model, layer, m_request.candidates[column], m_request.target, m_request.activations);
            if (!candidate) {
                cell.allowed = false;
            } else if (candidate->weights.isKeep()) {
                cell.error.count = layerAt(layer).numel();
                for (std::size_t m = 0; m < cell.losses.size(); ++m)
                    if (m_request.metrics[m] && isKnown(m_request.activations, m_request.metrics[m]->needs, layer))
                        cell.losses[m] = 0;
            } else {
                Cell left{.column = column, .candidate = *candidate, .key = {}};
                if (m_request.sink)
                    left.key = keyOf(m_model, layerAt(layer), *candidate, m_request);
                const auto kept = m_request.sink ? m_request.sink->find(left.key) : std::nullopt;
                if (!kept || !unpack(*kept, m_request.metrics.size(), cell)) {
                    work.cells.push_back(std::move(left));
                    continue;
                }
            }
            finish(cell);
        }
        return work;
    }

    Result<void> measureLayer(const LayerWork& work, const JobContext& context)
    {
        QL_CHECK(context.checkStop());
        std::vector<const Candidate*> candidates;
        for (const Cell& cell : work.cells)
            candidates.push_back(&cell.candidate);
        QL_TRY(known, knowledgeOf(m_request.activations, work.layer, m_request.metrics, candidates, context));
        QL_TRY(weights, m_model.loadWeights(work.layer, context));
        if (auto done = measureCells(work, weights.view, known, context); !done)
            return done.error().where.empty() ? Error{done.error().code, done.error().what, layerAt(work.layer).name}
                                              : done.error();
        return {};
    }

    Result<void> measureCells(const LayerWork& work, const TensorView& weights, const LayerKnowledge& known,
                              const JobContext& context)
    {
        QL_TRY(ofLayer, valuesOfLayer({.model = m_model,
                                       .layer = work.layer,
                                       .weights = weights,
                                       .activations = known.activations.get(),
                                       .fisher = known.fisher.get(),
                                       .known = m_request.activations},
                                      context));
        for (const Cell& cell : work.cells)
            QL_CHECK(measureCell(work.layer, cell, weights, known, ofLayer, context));
        return {};
    }

    /// One per requested metric.
    Result<std::vector<double>> valuesOfLayer(const LayerInput& input, const JobContext& context) const
    {
        std::vector<double> values(m_request.metrics.size(), std::numeric_limits<double>::quiet_NaN());
        for (std::size_t m = 0; m < values.size(); ++m) {
            const Metric* metric = m_request.metrics[m];
            if (!metric || !metric->ofLayer || !isKnown(m_request.activations, metric->needs, input.layer))
                continue;
            QL_TRY(value, metric->ofLayer(input, context));
            values[m] = value;
        }
        return values;
    }

    Result<void> measureCell(std::int64_t layer, const Cell& cell, const TensorView& weights,
                             const LayerKnowledge& known, const std::vector<double>& ofLayer, const JobContext& context)
    {
        QL_TRY(shared, sharedAbsMax(m_model, layer, cell.candidate, context));
        QL_TRY(quantized, realize(weights, cell.candidate, known.activations.get(), context, nullptr, shared));
        QL_TRY(error, measureError(weights, quantized, context));
        Measurement measurement{.layer = layer,
                                .candidate = cell.column,
                                .error = error,
                                .losses = {},
                                .allowed = true,
                                .ofLayer = ofLayer};
        MetricInput input{.model = m_model,
                          .layer = layer,
                          .weights = weights,
                          .quantized = quantized,
                          .error = error,
                          .activations = known.activations.get(),
                          .fisher = known.fisher.get()};
        for (std::size_t m = 0; m < m_request.metrics.size(); ++m) {
            const Metric* metric = m_request.metrics[m];
            double loss = std::numeric_limits<double>::quiet_NaN();
            input.ofLayer = ofLayer[m];
            if (metric && metric->judgesLayers()) {
                loss = metric->importanceOf(input.ofLayer) * relativeError(error);
            } else if (metric && isKnown(m_request.activations, metric->needs, layer)) {
                QL_TRY(measured, metric->measure(input, context));
                loss = measured;
            }
            measurement.losses.push_back(loss);
        }
        QL_CHECK(m_model.checkpoint->checkIntact());
        if (m_request.sink)
            QL_CHECK(m_request.sink->keep(cell.key, pack(measurement)));
        finish(measurement);
        return {};
    }

    void finish(const Measurement& cell)
    {
        m_context.progress().addDone(cellUnits(cell.layer));
        const std::lock_guard lock(m_delivering);
        m_deliver(cell);
    }

    const Model& m_model;
    const MeasureRequest& m_request;
    const std::function<void(const Measurement&)>& m_deliver;
    const JobContext& m_context;
    std::mutex m_delivering;
};

} // namespace

Result<void> measure(const Model& model, const MeasureRequest& request,
                     const std::function<void(const Measurement&)>& deliver, const JobContext& context)
{
    if (request.target)
        QL_CHECK(request.target->acceptsModel(model));
    return Measuring(model, request, deliver, context).run();
}

} // namespace ql
