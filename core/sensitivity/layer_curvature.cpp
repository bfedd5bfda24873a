// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/layer_curvature.h"

#include "core/base/hash.h"
#include "core/model/evaluation/loss_gradients.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ql {

namespace {

std::string sourceOf(const CurvatureTask& task)
{
    Hasher hasher;
    hasher.add(task.settings.together ? "traces 1" : "curvature 2");
    hasher.add(std::as_bytes(std::span(task.windows.ids)));
    const CurvatureSettings& its = task.settings;
    for (const std::int64_t number :
         {task.windows.length, its.probes, its.iterations, its.subsets, static_cast<std::int64_t>(its.seed)})
        hasher.add(std::to_string(number) + ";");
    hasher.add(std::as_bytes(std::span(&its.tolerance, 1)));
    return hasher.hex();
}

/// Window [first, last) of so many.
Windows part(const Windows& windows, std::int64_t first, std::int64_t last)
{
    const auto begin = windows.ids.begin();
    return {.length = windows.length, .ids = {begin + first * windows.length, begin + last * windows.length}};
}

/// Mean and population standard deviation.
std::pair<double, double> meanAndDeviation(std::span<const double> values)
{
    double mean = 0;
    for (const double value : values)
        mean += value / static_cast<double>(values.size());
    double squares = 0;
    for (const double value : values)
        squares += (value - mean) * (value - mean) / static_cast<double>(values.size());
    return {mean, std::sqrt(squares)};
}

void setTrace(LayerFigures& figures, const TraceEstimate& trace, std::int64_t weights)
{
    figures.values["trace"] = trace.trace;
    figures.values["trace_error"] = trace.standardError;
    figures.values["mean_curvature"] = trace.trace / static_cast<double>(weights);
}

Result<LayerCurvature> measureLayer(const CurvatureTask& task, std::int64_t layer, const JobContext& context)
{
    const CurvatureSettings& settings = task.settings;
    LayerCurvature result;
    result.layer = layer;
    const LossFunction whole{task.graph, task.weights, task.windows, {layer}};
    QL_TRY(size, weightCount(whole, context));
    result.weights = size;
    const auto spread = [&](std::span<const double> v) { return hessianVectorProduct<float>(whole, v, context); };
    QL_TRY(trace, hutchinsonTrace(spread, size, settings.probes, settings.tolerance, settings.seed, context));
    result.trace = trace;
    const std::int64_t count = task.windows.count();
    const std::int64_t subsets = std::clamp<std::int64_t>(settings.subsets, 1, count);
    std::vector<double> values;
    for (std::int64_t s = 0; s < subsets; ++s) {
        const Windows windows = part(task.windows, s * count / subsets, (s + 1) * count / subsets);
        const LossFunction loss{task.graph, task.weights, windows, {layer}};
        const auto sharp = [&](std::span<const double> v) { return hessianVectorProduct<double>(loss, v, context); };
        QL_TRY(top, topEigenvalue(sharp, size, settings.iterations, settings.tolerance, settings.seed, context));
        top.vector = {};
        values.push_back(top.value);
        result.top.push_back(std::move(top));
    }
    const auto [mean, deviation] = meanAndDeviation(values);
    setTrace(result.figures, trace, size);
    auto& figures = result.figures.values;
    if (subsets == 1)
        figures["top_eigenvalue"] = values.front();
    figures["eigenvalue_mean"] = mean;
    figures["eigenvalue_std"] = deviation;
    figures["eigenvalue_spread"] = eigenvalueSpread(values);
    return result;
}

std::string keyOf(const CurvatureTask& task, std::int64_t layer)
{
    return figuresKey(task.settings.together ? FigureKind::traces : FigureKind::curvature,
                      task.model.layers[static_cast<std::size_t>(layer)].name);
}

/// What the sink has of the layer by these settings.
std::optional<LayerCurvature> keptCurvature(const CurvatureTask& task, std::int64_t layer, const std::string& source)
{
    const auto bytes = task.sink ? task.sink->find(keyOf(task, layer)) : std::nullopt;
    auto kept = bytes ? LayerFigures::decode(*bytes) : std::nullopt;
    if (!kept || kept->source != source)
        return std::nullopt;
    return LayerCurvature{.layer = layer,
                          .weights = task.model.layers[static_cast<std::size_t>(layer)].numel(),
                          .trace = {},
                          .top = {},
                          .isKept = true,
                          .figures = std::move(*kept)};
}

Result<void> finish(const CurvatureTask& task, LayerCurvature result, const std::string& source)
{
    result.figures.source = source;
    if (task.sink)
        QL_CHECK(task.sink->keep(keyOf(task, result.layer), result.figures.encode()));
    if (task.onLayer)
        task.onLayer(result);
    return {};
}

/// What each probe says of these layers: kept in the sink, as one takes long, until all are there.
class Probes {
public:
    Probes(const CurvatureTask& task, const std::string& source, const std::vector<std::int64_t>& layers)
        : m_task(task), m_loss{task.graph, task.weights, task.windows, layers}
    {
        Hasher hasher;
        hasher.add(source);
        for (const std::int64_t layer : layers)
            hasher.add(task.model.layers[static_cast<std::size_t>(layer)].name + "\n");
        m_key = "curvature_probes/" + hasher.hex() + "/";
    }

    std::optional<std::vector<double>> kept(std::int64_t probe) const
    {
        const auto bytes = m_task.sink ? m_task.sink->find(keyOf(probe)) : std::nullopt;
        std::vector<double> samples(m_loss.layers.size());
        if (!bytes || bytes->size() != samples.size() * sizeof(double))
            return std::nullopt;
        std::memcpy(samples.data(), bytes->data(), bytes->size());
        return samples;
    }

    Result<std::vector<double>> run(std::int64_t probe, const JobContext& context) const
    {
        if (auto samples = kept(probe))
            return std::move(*samples);
        const CounterRng signs(m_task.settings.seed, static_cast<std::uint64_t>(probe));
        QL_TRY(made, signedCurvature(m_loss, signs, context));
        QL_CHECK(m_task.model.checkpoint->checkIntact());
        if (m_task.sink)
            QL_CHECK(m_task.sink->keep(keyOf(probe), std::as_bytes(std::span(made))));
        return made;
    }

private:
    std::string keyOf(std::int64_t probe) const { return m_key + std::to_string(probe); }

    const CurvatureTask& m_task;
    LossFunction m_loss;
    std::string m_key;
};

Result<void> measureTogether(const CurvatureTask& task, const std::string& source,
                             const std::vector<std::int64_t>& layers, const JobContext& context)
{
    const Probes probes(task, source, layers);
    for (std::int64_t probe = 0; probe < task.settings.probes; ++probe)
        if (!probes.kept(probe))
            context.progress().addTotal(2 * gradientUnits(task.graph, task.windows.count()));
    std::vector<TraceSamples> samples(layers.size());
    const auto areSettled = [&] {
        return std::ranges::all_of(samples, [&](const auto& its) { return its.areSettled(task.settings.tolerance); });
    };
    for (std::int64_t probe = 0; probe < task.settings.probes && !areSettled(); ++probe) {
        if (task.onProbe)
            task.onProbe(probe);
        QL_TRY(made, probes.run(probe, context));
        for (std::size_t i = 0; i < layers.size(); ++i)
            samples[i].add(made[i]);
    }
    for (std::size_t i = 0; i < layers.size(); ++i) {
        LayerCurvature result{.layer = layers[i],
                              .weights = task.model.layers[static_cast<std::size_t>(layers[i])].numel(),
                              .trace = samples[i].estimate(),
                              .top = {},
                              .isKept = false,
                              .figures = {}};
        setTrace(result.figures, result.trace, result.weights);
        QL_CHECK(finish(task, std::move(result), source));
    }
    return {};
}

} // namespace

std::int64_t curvaturePasses(const CurvatureSettings& settings)
{
    // Subsets share the windows.
    return 2 * (settings.probes + (settings.together ? 0 : settings.iterations));
}

double eigenvalueSpread(std::span<const double> eigenvalues)
{
    const auto [mean, deviation] = meanAndDeviation(eigenvalues);
    return std::fabs(mean) + deviation;
}

Result<void> measureCurvature(const CurvatureTask& task, const JobContext& context)
{
    const std::string source = sourceOf(task);
    std::vector<std::int64_t> left;
    for (const std::int64_t layer : task.layers) {
        const auto kept = keptCurvature(task, layer, source);
        if (!kept)
            left.push_back(layer);
        else if (task.onLayer)
            task.onLayer(*kept);
    }
    if (left.empty())
        return {};
    if (task.settings.together)
        return measureTogether(task, source, left, context);
    context.progress().addTotal(std::ssize(left) * curvaturePasses(task.settings) *
                                gradientUnits(task.graph, task.windows.count()));
    for (const std::int64_t layer : left) {
        QL_TRY(result, measureLayer(task, layer, context));
        QL_CHECK(task.model.checkpoint->checkIntact());
        QL_CHECK(finish(task, std::move(result), source));
    }
    return {};
}

} // namespace ql
