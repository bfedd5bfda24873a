// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/layer_report.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

constexpr double kOutlierSigmas = 6;
constexpr std::size_t kLargest = 5;

class Cells {
public:
    Cells(const Model& model, const MeasureRequest& request, const std::vector<Measurement>& cells)
        : m_columns(request.candidates.size()), m_at(model.layers.size() * m_columns, nullptr)
    {
        for (const Measurement& cell : cells)
            if (cell.candidate < m_columns && static_cast<std::size_t>(cell.layer) < model.layers.size())
                m_at[static_cast<std::size_t>(cell.layer) * m_columns + cell.candidate] = &cell;
    }
    const Measurement* find(std::int64_t layer, std::size_t column) const
    {
        return column < m_columns ? m_at[static_cast<std::size_t>(layer) * m_columns + column] : nullptr;
    }
    /// What the metric says of the layer; NaN if nothing.
    double value(const Metric& metric, std::size_t index, std::int64_t layer, std::size_t column) const
    {
        if (!metric.judgesLayers())
            return at(find(layer, column), &Measurement::losses, index);
        for (std::size_t c = 0; c < m_columns; ++c) // whichever is there
            if (const double value = at(find(layer, c), &Measurement::ofLayer, index); !std::isnan(value))
                return value;
        return std::numeric_limits<double>::quiet_NaN();
    }

private:
    static double at(const Measurement* cell, std::vector<double> Measurement::*values, std::size_t index)
    {
        return cell && cell->allowed && index < (cell->*values).size() ? (cell->*values)[index]
                                                                       : std::numeric_limits<double>::quiet_NaN();
    }

    std::size_t m_columns;
    std::vector<const Measurement*> m_at;
};

double weightOf(const Metric& metric, double value)
{
    return metric.judgesLayers() ? metric.importanceOf(value) : value;
}

const Layer& layerAt(const Model& model, std::int64_t layer)
{
    return model.layers[static_cast<std::size_t>(layer)];
}

LayerFigure figureOf(const Model& model, const MeasureRequest& request, const Cells& cells, std::size_t index,
                     const LayerQuestion& question)
{
    const Metric& metric = *request.metrics[index];
    LayerFigure figure;
    figure.metric = &metric;
    figure.value = cells.value(metric, index, question.layer, question.column);
    if (std::isnan(figure.value))
        return figure;
    figure.evidence = evidenceOf(metric.needs);
    const LayerRanks ranks = ranksOf(model, request.layers, question.layer, [&](std::int64_t layer) {
        const double value = cells.value(metric, index, layer, question.column);
        return std::isnan(value) ? value : weightOf(metric, value);
    });
    figure.amongRole = ranks.amongRole;
    figure.amongAll = ranks.amongAll;
    return figure;
}

LayerCandidate candidateOf(const Model& model, const MeasureRequest& request, const Cells& cells, std::size_t column,
                           std::int64_t layer)
{
    const Layer& its = layerAt(model, layer);
    LayerCandidate row;
    row.column = column;
    row.candidate =
        request.target ? request.target->complete(model, its, request.candidates[column]) : request.candidates[column];
    row.payloadBits = layerPayloadBits(its, row.candidate);
    row.bitsPerWeight = static_cast<double>(row.payloadBits) / static_cast<double>(its.numel());
    row.losses.assign(request.metrics.size(), std::numeric_limits<double>::quiet_NaN());
    if (const Measurement* cell = cells.find(layer, column)) {
        row.allowed = cell->allowed;
        row.error = cell->error;
        if (cell->losses.size() == row.losses.size())
            row.losses = cell->losses;
    }
    return row;
}

/// `row` from `from`, if it is a step in that direction.
std::optional<LayerStep> stepTo(const LayerCandidate& row, const LayerCandidate& from, std::size_t by, bool more)
{
    if (!row.allowed || by >= row.losses.size())
        return std::nullopt;
    const LayerStep step{.column = row.column,
                         .payloadBits = row.payloadBits - from.payloadBits,
                         .loss = row.losses[by] - from.losses[by]};
    const bool leads = more ? step.payloadBits > 0 && step.loss < 0 : step.payloadBits < 0 && step.loss > 0;
    return leads ? std::optional(step) : std::nullopt; // NaN leads nowhere
}

} // namespace

Result<LayerWeights> describeWeights(const Model& model, std::int64_t layer, const JobContext& context)
{
    QL_TRY(weights, model.loadWeights(layer, context));
    QL_TRY(statistics, computeStatistics(weights.view, context));
    QL_TRY(histogram, computeHistogram(weights.view, context, kReportBins));
    QL_TRY(outliers, findOutliers(weights.view, context, kOutlierSigmas, kLargest));
    QL_CHECK(model.checkpoint->checkIntact());
    return LayerWeights{.statistics = statistics, .histogram = std::move(histogram), .outliers = std::move(outliers)};
}

LayerRanks ranksOf(const Model& model, std::span<const std::int64_t> layers, std::int64_t layer,
                   const std::function<double(std::int64_t)>& valueOf)
{
    const double its = valueOf(layer);
    if (std::isnan(its))
        return {};
    LayerRanks ranks;
    ranks.amongRole.place = ranks.amongAll.place = 1;
    for (const std::int64_t other : layers) {
        const double value = valueOf(other);
        if (std::isnan(value))
            continue;
        const std::int64_t before = value > its ? 1 : 0;
        ++ranks.amongAll.of;
        ranks.amongAll.place += before;
        if (layerAt(model, other).role == layerAt(model, layer).role) {
            ++ranks.amongRole.of;
            ranks.amongRole.place += before;
        }
    }
    return ranks;
}

LayerReport layerReport(const Model& model, const MeasureRequest& request, const std::vector<Measurement>& measured,
                        const LayerQuestion& question)
{
    const Cells cells(model, request, measured);
    LayerReport report;
    report.layer = question.layer;
    for (std::size_t m = 0; m < request.metrics.size(); ++m)
        if (request.metrics[m])
            report.figures.push_back(figureOf(model, request, cells, m, question));
    for (std::size_t column = 0; column < request.candidates.size(); ++column)
        report.candidates.push_back(candidateOf(model, request, cells, column, question.layer));
    std::ranges::stable_sort(report.candidates, {}, &LayerCandidate::payloadBits);

    const Layer& layer = layerAt(model, question.layer);
    for (const std::int64_t other : request.layers) {
        const Layer& its = layerAt(model, other);
        if (layer.block < 0 || its.role != layer.role || std::abs(its.block - layer.block) != 1 || its.block < 0)
            continue;
        LayerNeighbour neighbour{.layer = other, .values = {}};
        for (std::size_t m = 0; m < request.metrics.size(); ++m)
            if (request.metrics[m])
                neighbour.values.push_back(cells.value(*request.metrics[m], m, other, question.column));
        report.neighbours.push_back(std::move(neighbour));
    }

    const auto from = std::ranges::find(report.candidates, question.column, &LayerCandidate::column);
    if (from == report.candidates.end() || question.by >= from->losses.size())
        return report;
    for (const LayerCandidate& row : report.candidates) { // by rising bits
        if (const auto step = stepTo(row, *from, question.by, false))
            report.less = step;
        if (const auto step = stepTo(row, *from, question.by, true); step && !report.more)
            report.more = step;
    }
    return report;
}

} // namespace ql
