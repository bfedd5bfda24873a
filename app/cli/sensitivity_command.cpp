// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/sensitivity_probe.h"
#include "core/base/text.h"
#include "core/plan/plan_inputs.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::string layer = "*";
    std::string target;
    CandidatesOption candidates;
    MetricsOption metrics;
    ActivationsOption activations;
    TransformsOption transforms;
    ProbeOptions probe;
    std::string out;
};

/// What the last metric says, for solve --losses.
LayerLosses lossesOf(const Model& model, const MeasureRequest& request, const std::vector<Measurement>& cells)
{
    LayerLosses losses{.metric = std::string(request.metrics.back()->id),
                       .activations = inputsFingerprint(request.activations),
                       .candidates = request.candidates,
                       .cells = {}};
    for (const Measurement& cell : cells) {
        const Candidate& candidate = request.candidates[cell.candidate];
        const Layer& layer = model.layers[static_cast<std::size_t>(cell.layer)];
        if (cell.allowed && std::isfinite(cell.losses.back()))
            losses.cells.push_back(
                {.layer = cell.layer,
                 .candidate = request.target ? request.target->complete(model, layer, candidate) : candidate,
                 .loss = cell.losses.back(),
                 .standardError = 0,
                 .evidence = evidenceOf(request.metrics.back()->needs)});
    }
    return losses;
}

/// What metrics of layers say, a row for each layer; none where there are no such metrics.
nlohmann::ordered_json layerRows(const Model& model, const MeasureRequest& request,
                                 const std::vector<Measurement>& cells)
{
    auto rows = nlohmann::ordered_json::array();
    const auto judgesLayers = [](const Metric* metric) { return metric->judgesLayers(); };
    if (std::ranges::none_of(request.metrics, judgesLayers))
        return rows;
    for (std::size_t i = 0; i < cells.size(); ++i) { // by layer
        const bool isKnown = std::ranges::any_of(cells[i].ofLayer, [](double value) { return !std::isnan(value); });
        const std::string& name = model.layers[static_cast<std::size_t>(cells[i].layer)].name;
        if (!isKnown || (!rows.empty() && rows.back()["name"] == name))
            continue;
        nlohmann::ordered_json row{{"name", name}};
        for (std::size_t m = 0; m < request.metrics.size(); ++m)
            if (request.metrics[m]->judgesLayers())
                row[std::string(request.metrics[m]->id)] = numberOrNull(cells[i].ofLayer[m]);
        rows.push_back(std::move(row));
    }
    return rows;
}

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(opened, openVariantFor(console, options.file, options.transforms, options.activations));
    const auto& [base, model, activations, variant] = opened;
    QL_TRY(target, targetOrNull(options.target));
    QL_TRY(request, measureRequest(*model, options.candidates, target, activations.get()));
    std::erase_if(request.layers, [&](std::int64_t layer) {
        return !globMatch(options.layer, model->layers[static_cast<std::size_t>(layer)].name);
    });
    if (request.layers.empty())
        return usageError("no quantizable layer matches '" + options.layer + "'; qloupe info lists the names",
                          options.file);
    if (options.probe.isGiven()) {
        if (!options.out.empty() && !options.probe.makesTable())
            return usageError(
                "a table of losses is of single layers in nats per token; leave --group and --by sqnr out", "--out");
        QL_TRY(probed, runProbe(console, options.file, options.probe, opened, request));
        if (!options.out.empty())
            QL_CHECK(writeLosses(probed.losses, *model, options.out));
        console.show(probed.document);
        return 0;
    }
    QL_TRY(metrics, options.metrics.choose(activations.get()));
    request.metrics = std::move(metrics);
    if (!options.out.empty() && request.metrics.back()->unit != "nats per token")
        return usageError(
            "a table of losses is in nats per token, which takes --activations of a study calibrated with "
            "--fisher, or --probe",
            "--out");

    console.status("measuring " + std::to_string(request.layers.size()) + " layers × " +
                   std::to_string(request.candidates.size()) + " candidates");
    std::vector<Measurement> cells;
    QL_CHECK(measure(
        *model, request, [&](const Measurement& cell) { cells.push_back(cell); }, console.context()));
    std::sort(cells.begin(), cells.end(), [](const Measurement& a, const Measurement& b) {
        return std::pair(a.layer, a.candidate) < std::pair(b.layer, b.candidate);
    });

    if (!options.out.empty())
        QL_CHECK(writeLosses(lossesOf(*model, request, cells), *model, options.out));
    auto rows = nlohmann::ordered_json::array();
    for (const Measurement& cell : cells) {
        const Layer& layer = model->layers[static_cast<std::size_t>(cell.layer)];
        Candidate candidate = request.candidates[cell.candidate];
        if (request.target)
            candidate = request.target->complete(*model, layer, candidate);
        nlohmann::ordered_json row{
            {"name", layer.name}, {"candidate", printCandidate(candidate)}, {"allowed", cell.allowed}};
        if (cell.allowed) {
            row["bits_per_weight"] =
                static_cast<double>(layerPayloadBits(layer, candidate)) / static_cast<double>(layer.numel());
            row["sqnr_db"] = numberOrNull(cell.error.sqnrDb());
            row["max_abs_error"] = cell.error.maxAbsError;
            for (std::size_t m = 0; m < request.metrics.size(); ++m)
                row[std::string(request.metrics[m]->id)] = numberOrNull(cell.losses[m]);
        }
        rows.push_back(std::move(row));
    }
    auto list = nlohmann::ordered_json::array();
    for (const Metric* metric : request.metrics) {
        list.push_back({{"id", metric->id}, {"unit", metric->unit}, {"formula", metric->formula}});
        if (metric->needs == MetricNeeds::fisher || metric->needs == MetricNeeds::lossGram)
            list.back()["windows"] = activations->fisherWindows();
    }
    nlohmann::ordered_json document{{"metrics", std::move(list)}};
    if (auto layers = layerRows(*model, request, cells); !layers.empty())
        document["layers"] = std::move(layers);
    document["cells"] = std::move(rows);
    console.show(document);
    return 0;
}

} // namespace

extern const Command sensitivity_;
const Command sensitivity_{
    "sensitivity", "what each candidate does to each layer, by metrics that can be computed",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        app.add_option("--layer", options->layer, "layer name or glob");
        options->candidates.declare(app, "int4:g64,int8:g64");
        options->metrics.declare(app);
        options->activations.declare(app);
        options->transforms.declare(app);
        app.add_option("--target", options->target, "target that completes and refuses candidates");
        options->probe.declare(app);
        app.add_option("--out", options->out, "table of losses (JSON) for qloupe solve --losses");
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
