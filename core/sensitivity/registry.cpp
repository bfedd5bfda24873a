// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/layer_figures.h"
#include "core/sensitivity/metric.h"

#include <array>
#include <ranges>

namespace ql {

namespace metrics {
#define METRIC(id) extern const Metric id;
#include "core/sensitivity/metrics.def"
#undef METRIC
} // namespace metrics

std::span<const Metric* const> allMetrics()
{
    static constexpr const Metric* kAll[] = {
#define METRIC(id) &metrics::id,
#include "core/sensitivity/metrics.def"
#undef METRIC
    };
    return kAll;
}

Result<const Metric*> findMetric(std::string_view id)
{
    std::string known;
    for (const Metric* metric : allMetrics()) {
        if (metric->id == id)
            return metric;
        known += (known.empty() ? "" : ", ") + std::string(metric->id);
    }
    return usageError("there is no metric '" + std::string(id) + "'; there are " + known);
}

Result<void> checkUsable(const Metric& metric, const Activations* activations)
{
    const bool needsInputs = metric.needs == MetricNeeds::diagonal || metric.needs == MetricNeeds::gram;
    if (needsInputs && (!activations || activations->layers().empty()))
        return usageError("needs activations: captured ones, or a calibrated study", std::string(metric.id));
    if (metric.needs == MetricNeeds::gram && activations->isDiagonal())
        return refused("needs all of XᵀX, and only its diagonal is known here; calibrate with --gram full, or take the "
                       "metric diagonal_error",
                       std::string(metric.id));
    if (metric.needs == MetricNeeds::fisher && (!activations || activations->fisherLayers().empty()))
        return usageError("needs a study calibrated with --fisher", std::string(metric.id));
    if (metric.needs == MetricNeeds::lossGram && (!activations || !activations->knowsLossGrams()))
        return usageError("needs a study calibrated with --fisher and --gram full", std::string(metric.id));
    const std::string_view figure = figureFor(metric.needs);
    if (figure.empty() || knowsFigure(activations, figure))
        return {};
    if (metric.needs == MetricNeeds::depth)
        return usageError("needs a study calibrated with --depth", std::string(metric.id));
    return usageError(metric.needs == MetricNeeds::eigenvalues
                          ? "needs a study that qloupe curvature --study wrote to, without --together"
                          : "needs a study that qloupe curvature --study wrote to",
                      std::string(metric.id));
}

const Metric& bestMetric(const Activations* activations)
{
    const auto all = std::views::reverse(allMetrics());
    return **std::ranges::find_if(
        all, [&](const Metric* metric) { return !metric->isProxy && checkUsable(*metric, activations).has_value(); });
}

std::string_view word(MetricNeeds needs)
{
    constexpr std::array<std::string_view, 8> kWords{
        "nothing", "diagonal of XᵀX", "XᵀX",        "fisher", "fisher and loss-weighted XᵀX",
        "depth",   "curvature",       "eigenvalues"};
    return kWords[static_cast<std::size_t>(needs)];
}

std::string_view figureFor(MetricNeeds needs)
{
    switch (needs) {
    case MetricNeeds::depth:
        return "entropy_l1";
    case MetricNeeds::curvature:
        return "trace";
    case MetricNeeds::eigenvalues:
        return "eigenvalue_spread";
    default:
        return {};
    }
}

Evidence evidenceOf(MetricNeeds needs)
{
    switch (needs) {
    case MetricNeeds::nothing:
        return Evidence::dataFree;
    case MetricNeeds::diagonal:
    case MetricNeeds::gram:
    case MetricNeeds::depth:
        return Evidence::statistics;
    case MetricNeeds::fisher:
    case MetricNeeds::lossGram:
    case MetricNeeds::curvature:
    case MetricNeeds::eigenvalues:
        return Evidence::gradients;
    }
    return Evidence::unmeasured;
}

} // namespace ql
