// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/layer_curvature.h"

#include "core/base/hash.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

std::string sourceOf(const CurvatureTask& task)
{
    Hasher hasher;
    hasher.add("curvature 1");
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

Result<LayerCurvature> measureLayer(const CurvatureTask& task, std::int64_t layer, const JobContext& context)
{
    const CurvatureSettings& settings = task.settings;
    LayerCurvature result;
    result.layer = layer;
    const LossFunction whole{task.graph, task.weights, task.windows, {layer}};
    const auto productOf = [&](const LossFunction& loss) -> ProductWith {
        return [&](std::span<const double> v) {
            context.progress().addDone(1);
            return hessianVectorProduct<float>(loss, v, context);
        };
    };
    QL_TRY(size, weightCount(whole, context));
    result.weights = size;
    QL_TRY(trace, hutchinsonTrace(productOf(whole), size, settings.probes, settings.tolerance, settings.seed, context));
    result.trace = trace;
    const std::int64_t count = task.windows.count();
    const std::int64_t subsets = std::clamp<std::int64_t>(settings.subsets, 1, count);
    std::vector<double> values;
    for (std::int64_t s = 0; s < subsets; ++s) {
        const Windows windows = part(task.windows, s * count / subsets, (s + 1) * count / subsets);
        const LossFunction loss{task.graph, task.weights, windows, {layer}};
        QL_TRY(top,
               topEigenvalue(productOf(loss), size, settings.iterations, settings.tolerance, settings.seed, context));
        top.vector = {};
        values.push_back(top.value);
        result.top.push_back(std::move(top));
    }
    const auto [mean, deviation] = meanAndDeviation(values);
    auto& figures = result.figures.values;
    figures["trace"] = trace.trace;
    figures["trace_error"] = trace.standardError;
    figures["mean_curvature"] = trace.trace / static_cast<double>(size);
    if (subsets == 1)
        figures["top_eigenvalue"] = values.front();
    figures["eigenvalue_mean"] = mean;
    figures["eigenvalue_std"] = deviation;
    figures["eigenvalue_spread"] = eigenvalueSpread(values);
    return result;
}

} // namespace

std::int64_t curvaturePasses(const CurvatureSettings& settings)
{
    return 2 * (settings.probes + settings.iterations); // subsets share the windows
}

double eigenvalueSpread(std::span<const double> eigenvalues)
{
    const auto [mean, deviation] = meanAndDeviation(eigenvalues);
    return std::fabs(mean) + deviation;
}

Result<void> measureCurvature(const CurvatureTask& task, const JobContext& context)
{
    const std::string source = sourceOf(task);
    for (const std::int64_t layer : task.layers) {
        const Layer& its = task.model.layers[static_cast<std::size_t>(layer)];
        const std::string key = figuresKey(FigureKind::curvature, its.name);
        const auto bytes = task.sink ? task.sink->find(key) : std::nullopt;
        auto kept = bytes ? LayerFigures::decode(*bytes) : std::nullopt;
        LayerCurvature result;
        if (kept && kept->source == source) {
            result.layer = layer;
            result.weights = its.numel();
            result.isKept = true;
            result.figures = std::move(*kept);
        } else {
            QL_TRY(measured, measureLayer(task, layer, context));
            result = std::move(measured);
            result.figures.source = source;
            QL_CHECK(task.model.checkpoint->checkIntact());
            if (task.sink)
                QL_CHECK(task.sink->keep(key, result.figures.encode()));
        }
        if (task.onLayer)
            task.onLayer(result);
    }
    return {};
}

} // namespace ql
