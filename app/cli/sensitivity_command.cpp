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

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(opened, openVariantFor(console, options.file, options.transforms, options.activations));
    const auto& [base, model, activations, variant] = opened;
    QL_TRY(target, targetOrNull(options.target));
    MeasureRequest request;
    QL_TRY(candidates, options.candidates.choose(*model, target));
    request.candidates = std::move(candidates);
    request.target = target ? &target->profile : nullptr;
    request.activations = activations.get();
    for (const std::int64_t layer : model->quantizableLayers())
        if (globMatch(options.layer, model->layers[static_cast<std::size_t>(layer)].name))
            request.layers.push_back(layer);
    if (request.layers.empty())
        return usageError("no quantizable layer matches '" + options.layer + "'; qloupe info lists the names",
                          options.file);
    if (options.probe.isGiven()) {
        QL_TRY(probed, runProbe(console, options.file, options.probe, opened, request));
        if (!options.out.empty())
            QL_CHECK(writeLosses(probed.losses, *model, options.out));
        console.show(probed.document);
        return 0;
    }
    for (const Metric* metric : allMetrics())
        if (checkUsable(*metric, activations.get()))
            request.metrics.push_back(metric);
    if (!options.out.empty() && evidenceOf(request.metrics.back()->needs) != Evidence::gradients)
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
    auto metrics = nlohmann::ordered_json::array();
    for (const Metric* metric : request.metrics) {
        metrics.push_back({{"id", metric->id}, {"unit", metric->unit}, {"formula", metric->formula}});
        if (evidenceOf(metric->needs) == Evidence::gradients)
            metrics.back()["windows"] = activations->fisherWindows();
    }
    console.show({{"metrics", std::move(metrics)}, {"cells", std::move(rows)}});
    return 0;
}

} // namespace

extern const Command sensitivity_;
const Command sensitivity_{
    "sensitivity", "what each candidate does to each layer, by every metric that can be computed",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        app.add_option("--layer", options->layer, "layer name or glob");
        options->candidates.declare(app, "int4:g64,int8:g64");
        options->activations.declare(app);
        options->transforms.declare(app);
        app.add_option("--target", options->target, "target that completes and refuses candidates");
        options->probe.declare(app);
        app.add_option("--out", options->out, "table of losses (JSON) for qloupe solve --losses");
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
