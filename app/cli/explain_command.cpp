// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/variant_options.h"
#include "core/analysis/salience.h"
#include "core/sensitivity/layer_report.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <ranges>

namespace ql::cli::commands {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
    std::string file;
    std::string layer;
    std::string at;
    std::string by;
    std::string target;
    CandidatesOption candidates;
    MetricsOption metrics;
    ActivationsOption activations;
    TransformsOption transforms;
};

const Layer& layerAt(const Model& model, std::int64_t layer)
{
    return model.layers[static_cast<std::size_t>(layer)];
}

Json weightRows(const LayerWeights& weights)
{
    const TensorStatistics& its = weights.statistics;
    return {{"min", numberOrNull(its.min)},           {"max", numberOrNull(its.max)},
            {"mean", numberOrNull(its.mean)},         {"std", numberOrNull(its.std)},
            {"kurtosis", numberOrNull(its.kurtosis)}, {"crest_factor", numberOrNull(its.crestFactor())},
            {"beyond_6_std", weights.outliers.count}, {"share_beyond_6_std", weights.outliers.share}};
}

Json histogramRow(const LayerWeights& weights)
{
    const Histogram shown = weights.histogram.rebinned(16);
    return {{"from", shown.min}, {"to", shown.max}, {"counts", shown.counts}};
}

Json largestRows(const LayerWeights& weights)
{
    auto rows = Json::array();
    for (const Outlier& outlier : weights.outliers.largest)
        rows.push_back({{"row", outlier.row}, {"column", outlier.col}, {"value", numberOrNull(outlier.value)}});
    return rows;
}

std::string place(const LayerRank& rank)
{
    return rank.place > 0 ? std::to_string(rank.place) + " of " + std::to_string(rank.of) : "";
}

/// Groups of input channels with the largest share of the layer's salience; null where XᵀX is not known.
Result<Json> salienceRows(const Model& model, std::int64_t layer, const Activations* activations,
                          const JobContext& context)
{
    constexpr std::int64_t kGroup = 64;
    constexpr std::size_t kShown = 5;
    if (!activations)
        return Json();
    QL_TRY(inputs, activations->statistics(layer, context));
    if (!inputs || inputs->gram.empty())
        return Json();
    QL_TRY(weights, model.loadWeights(layer, context));
    QL_TRY(salience, computeSalience(weights.view, *inputs, kGroup, context));
    std::vector<std::size_t> order(salience.groups.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, std::greater(), [&](std::size_t group) { return salience.groups[group]; });
    auto rows = Json::array();
    for (const std::size_t group : order | std::views::take(kShown))
        rows.push_back({{"first_input", static_cast<std::int64_t>(group) * kGroup},
                        {"inputs", kGroup},
                        {"share", numberOrNull(salience.groups[group] / salience.total)}});
    return rows;
}

Json figureRows(const LayerReport& report)
{
    auto rows = Json::array();
    for (const LayerFigure& figure : report.figures)
        rows.push_back({{"metric", figure.metric->id},
                        {"of", figure.metric->judgesLayers() ? "layer" : "candidate"},
                        {"value", numberOrNull(figure.value)},
                        {"unit", figure.metric->unit},
                        {"evidence", word(figure.evidence)},
                        {"rank_in_role", place(figure.amongRole)},
                        {"rank", place(figure.amongAll)}});
    return rows;
}

Json candidateRows(const LayerReport& report, const MeasureRequest& request)
{
    auto rows = Json::array();
    for (const LayerCandidate& its : report.candidates) {
        Json row{{"candidate", printCandidate(its.candidate)},
                 {"allowed", its.allowed},
                 {"bits_per_weight", its.bitsPerWeight},
                 {"bytes", (its.payloadBits + 7) / 8},
                 {"sqnr_db", its.error.count > 0 ? numberOrNull(its.error.sqnrDb()) : Json()}};
        for (std::size_t m = 0; m < its.losses.size(); ++m)
            if (!request.metrics[m]->judgesLayers())
                row[std::string(request.metrics[m]->id)] = numberOrNull(its.losses[m]);
        rows.push_back(std::move(row));
    }
    return rows;
}

Json neighbourRows(const Model& model, const LayerReport& report)
{
    auto rows = Json::array();
    for (const LayerNeighbour& neighbour : report.neighbours) {
        Json row{{"name", layerAt(model, neighbour.layer).name}};
        for (std::size_t i = 0; i < neighbour.values.size(); ++i)
            row[std::string(report.figures[i].metric->id)] = numberOrNull(neighbour.values[i]);
        rows.push_back(std::move(row));
    }
    return rows;
}

Json stepRow(const std::optional<LayerStep>& step, const MeasureRequest& request)
{
    if (!step)
        return {};
    return {{"candidate", printCandidate(request.candidates[step->column])},
            {"bytes", static_cast<double>(step->payloadBits) / 8},
            {"loss", step->loss},
            {"loss_per_megabyte", step->loss / (static_cast<double>(std::abs(step->payloadBits)) / 8e6)}};
}

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(opened, openVariantFor(console, options.file, options.transforms, options.activations));
    const Model& model = *opened.model;
    QL_TRY(matching, model.match(options.layer));
    std::erase_if(matching, [&](std::int64_t layer) { return !layerAt(model, layer).quantizable; });
    if (matching.size() != 1)
        return usageError(matching.empty() ? "is no layer that is quantized"
                                           : "matches several layers; one is explained at a time",
                          options.layer);
    QL_TRY(target, targetOrNull(options.target));
    QL_TRY(request, measureRequest(model, options.candidates, target, opened.activations.get()));
    QL_TRY(metrics,
           MetricsOption{options.metrics.text.empty() ? "all" : options.metrics.text}.choose(request.activations));
    request.metrics = std::move(metrics);
    LayerQuestion question{.layer = matching.front(), .column = 0, .by = 0};
    if (!options.at.empty()) {
        QL_TRY(at, parseCandidate(options.at));
        const auto found = std::ranges::find(request.candidates, at);
        if (found == request.candidates.end())
            return usageError("--at names one of the candidates", options.at);
        question.column = static_cast<std::size_t>(found - request.candidates.begin());
    }
    const Metric* by = &bestMetric(request.activations);
    if (!options.by.empty()) {
        QL_TRY(found, findMetric(options.by));
        by = found;
    }
    const auto place = std::ranges::find(request.metrics, by);
    if (place == request.metrics.end())
        return usageError("steps are measured by " + std::string(by->id) + ", which is not among --metrics");
    question.by = static_cast<std::size_t>(place - request.metrics.begin());

    console.status("measuring " + std::to_string(request.layers.size()) + " layers, to compare with");
    std::vector<Measurement> cells;
    QL_CHECK(measure(
        model, request, [&](const Measurement& cell) { cells.push_back(cell); }, console.context()));
    QL_TRY(weights, describeWeights(model, question.layer, console.context()));
    QL_TRY(salience, salienceRows(model, question.layer, request.activations, console.context()));
    const LayerReport report = layerReport(model, request, cells, question);
    const Layer& layer = layerAt(model, question.layer);
    Json document{{"name", layer.name},
                  {"role", layer.role},
                  {"block", layer.block},
                  {"shape", layer.shape},
                  {"weights", layer.numel()},
                  {"dtype", info(layer.dtype).word},
                  {"weight_statistics", weightRows(weights)},
                  {"histogram", histogramRow(weights)},
                  {"largest_weights", largestRows(weights)},
                  {"salient_inputs", std::move(salience)},
                  {"losses_at", printCandidate(request.candidates[question.column])},
                  {"figures", figureRows(report)},
                  {"candidates", candidateRows(report, request)},
                  {"neighbours", neighbourRows(model, report)},
                  {"steps_by", by->id},
                  {"one_step_more", stepRow(report.more, request)},
                  {"one_step_less", stepRow(report.less, request)}};
    console.show(document);
    return 0;
}

} // namespace

extern const Command explain_;
const Command explain_{
    "explain",
    "why a layer gets what it gets: weights, every metric with evidence and rank, candidates, neighbours, next steps",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        app.add_option("--layer", options->layer, "the layer's name, or a glob that only it matches")->required();
        options->candidates.declare(app, "int3:g64,int4:g64,int6:g64,int8:g64");
        app.add_option("--at", options->at, "the candidate at which layers are compared; otherwise the first");
        options->metrics.declare(app);
        app.add_option("--by", options->by,
                       "the metric that steps to other candidates are measured by; otherwise the one that tells most");
        options->activations.declare(app);
        options->transforms.declare(app);
        app.add_option("--target", options->target, "target that completes and refuses candidates");
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
