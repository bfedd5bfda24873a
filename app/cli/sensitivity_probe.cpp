// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/sensitivity_probe.h"

#include "app/cli/number_check.h"
#include "app/cli/sensitivity_exact_probe.h"
#include "app/cli/study_options.h"
#include "core/base/text.h"
#include "core/model/evaluation/generate.h"
#include "core/model/evaluation/run_cost.h"
#include "core/model/frontends/frontend.h"
#include "core/sensitivity/probed_losses.h"

#include <CLI/CLI.hpp>

#include <chrono>

namespace ql::cli {

namespace {

Result<void> announce(Console& console, const GradientProbeTask& task, const Cases& cases)
{
    const CalibrationCost cost = gradientProbeCost(task);
    QL_TRY(speed, measureSpeed(task.model, task.graph, cases, console.context()));
    console.status("probing " + std::to_string(task.layers.size()) + " layers × " +
                   std::to_string(task.candidates.size()) + " candidates on " + std::to_string(task.count()) +
                   " windows: about " + formatFixed(cost.multiplyAdds * speed.secondsPerMultiplyAdd, 0) +
                   " s beside what the quantizers take, " + formatBytes(cost.memoryBytes) + " of memory");
    return {};
}

/// Says when they were measured, now, and leaves those that are KLDs of layers alone in the study.
Result<void> finish(LayerLosses& losses, const ProbeOptions& options, const Model& model, const OpenedStudy* study)
{
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    for (LayerLoss& cell : losses.cells)
        cell.time = std::chrono::duration_cast<std::chrono::seconds>(now).count();
    if (!study || !options.makesTable() || options.kind == "first_order" || options.by != "kld")
        return {};
    QL_CHECK(keepLosses(*study->study, losses, model));
    return study->study->save(study->document);
}

} // namespace

void ProbeOptions::declare(CLI::App& app)
{
    auto* probe =
        app.add_option(
               "--probe", kind,
               "gradient: the predicted KLD of the codes themselves, from gradients along the change "
               "that they make, with standard errors; first_order: what the codes add to -ln p of the text to "
               "first order, |mean g·ΔW| with the text's own tokens for labels: about 0 where the model was "
               "trained to the end on such text, of use where it was not; exact: the KLD measured with a layer "
               "alone at a candidate, the most valuable first. All need --text that the calibration behind "
               "--activations did not see, as codes are fitted to that; gradient takes --activations "
               "calibrated with --fisher to steady cells by those of like layers; a window is one sample whatever "
               "its length, so many short ones (--context 128) tell more than few long ones")
            ->check(CLI::IsMember({"gradient", "first_order", "exact"}));
    text.declare(app);
    app.add_flag("--score-all", scoreAll, kScoreAllHelp)->needs(probe);
    app.add_option("--seed", seed, "of the labels drawn from the model")->capture_default_str()->needs(probe);
    app.add_option("--batch", batch, "windows that go forward and backward together")
        ->capture_default_str()
        ->needs(probe)
        ->check(atLeast(1));
    app.add_option(
           "--study", study,
           "study (.qloupe) that keeps the probe's results as they arrive: a run that was stopped continues, and "
           "solve --losses finds the losses there, those with --as beside those without, which the window shows")
        ->needs(probe);
    app.add_option("--losses", losses,
                   "tables of losses (--out of earlier runs, or their --study) by which --probe exact chooses what to "
                   "measure first: "
                   "large and uncertain losses; may be repeated")
        ->needs(probe);
    app.add_option(
           "--by", by,
           "what the loss of --probe exact is: kld; perplexity, what is added to -ln p of the text; sqnr, noise ÷ "
           "signal of the logits")
        ->capture_default_str()
        ->needs(probe)
        ->check(CLI::IsMember({"kld", "perplexity", "sqnr"}));
    app.add_option("--group", groups,
                   "layers that --probe exact changes together in place of one: role (a group of each), block, a role, "
                   "or a name or glob; may be repeated")
        ->needs(probe);
    app.add_option("--coupling", coupling,
                   "what layers lose together beyond the sum of what they lose alone, by --probe exact, which runs all "
                   "cells. pairs: each two layers that follow each other, under every two candidates; qloupe solve "
                   "--losses takes them into account, shrunk by their standard errors, as is shown beside. groups: "
                   "those of --group under each candidate")
        ->needs(probe)
        ->check(CLI::IsMember({"pairs", "groups"}));
    app.add_option("--as", runtime,
                   "count what this runtime's rounding of activations adds under each candidate in the losses of "
                   "--probe gradient, e.g. llama.cpp: plans that are solved from the table (--out, --study) then weigh "
                   "it, too")
        ->needs(probe);
    app.add_option("--limit", limit, "cells that --probe exact measures, at most; 0: all")
        ->capture_default_str()
        ->needs(probe)
        ->check(atLeast(0));
    for (const char* const name : {"--text", "--tokens"})
        app.get_option(name)->needs(probe);
}

Result<Probed> runProbe(Console& console, const std::string& file, const ProbeOptions& options,
                        const OpenedVariant& opened, const MeasureRequest& request)
{
    const Model& model = *opened.model;
    QL_TRY(graph, buildGraph(model));
    if (!isCausalLanguageModel(graph))
        return usageError("--probe is for language models that continue text", file);
    if (options.kind != "gradient" && !options.runtime.empty())
        return usageError("--as is for --probe gradient; leave it out here");
    if (options.kind != "exact" &&
        (!options.losses.empty() || options.limit > 0 || !options.groups.empty() || options.by != "kld"))
        return usageError("--losses, --limit, --group and --by are for --probe exact; leave them out here");
    if (!options.coupling.empty()) {
        if (options.kind != "exact" || options.by == "sqnr")
            return usageError("--coupling is for --probe exact by kld or perplexity, which add up; leave it out here");
        if (!options.losses.empty() || options.limit > 0)
            return usageError("--coupling takes every cell: leave --losses and --limit out, and name fewer layers "
                              "(--layer) or candidates");
        if ((options.coupling == "groups") == options.groups.empty())
            return usageError(options.groups.empty() ? "--coupling groups takes --group block or other groups"
                                                     : "--group goes with --coupling groups; leave it out here");
    }
    std::optional<OpenedStudy> study;
    if (!options.study.empty()) {
        QL_TRY(its, openStudyFor(console, options.study, *opened.base, file));
        study = std::move(its);
        QL_CHECK(study->study->save(study->document)); // a study that was never saved is not found again
    }
    if (options.kind == "exact") {
        QL_TRY(exact, runExactProbe(console, options, opened, request, graph, study ? &*study : nullptr));
        QL_CHECK(finish(exact.losses, options, model, study ? &*study : nullptr));
        return exact;
    }
    TextOptions all = options.text; // so that more windows add to what a study holds of these
    all.windows = 0;
    QL_TRY(windows, all.read(console, *opened.base));
    QL_TRY(cases, windowCases(graph, windows));
    const graph::CheckpointWeights weights(model);
    const bool isFirstOrder = options.kind == "first_order";
    QL_TRY(runtime, runtimeOrNull(options.runtime));
    const Metric* const metric = isFirstOrder ? nullptr : probePredictor(request.activations);
    GradientProbeTask task{.model = model,
                           .graph = graph,
                           .weights = weights,
                           .windows = windows,
                           .layers = request.layers,
                           .candidates = request.candidates,
                           .target = request.target,
                           .activations = request.activations,
                           .metric = metric,
                           .runtime = runtime};
    task.settings = {.windows = options.text.windows,
                     .scored = options.scoreAll ? Scored::all : Scored::secondHalf,
                     .labels = isFirstOrder ? ProbeLabels::text : ProbeLabels::drawn,
                     .seed = options.seed,
                     .batchWindows = options.batch};
    task.sink = study ? study->study.get() : nullptr;
    task.onBatch = [&](std::int64_t) { return study ? study->study->save(study->document) : Result<void>(); };
    QL_CHECK(announce(console, task, cases));

    std::map<std::pair<std::int64_t, std::size_t>, ProbedCell> latest;
    QL_CHECK(probeGradients(
        task,
        [&](const ProbedCell& cell) {
            latest[{cell.layer, cell.candidate}] = cell;
        },
        console.context()));
    std::vector<ProbedCell> cells;
    for (auto& [where, cell] : latest)
        cells.push_back(std::move(cell));
    const std::vector<PooledLoss> pooled = pooledLosses(task, cells);

    Probed probed;
    probed.losses = tableOf(task, cells, pooled);
    QL_CHECK(finish(probed.losses, options, model, study ? &*study : nullptr));
    auto rows = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const ProbedCell& cell = cells[i];
        const Layer& layer = model.layers[static_cast<std::size_t>(cell.layer)];
        Candidate candidate = request.candidates[cell.candidate];
        if (request.target)
            candidate = request.target->complete(model, layer, candidate);
        nlohmann::ordered_json row{
            {"name", layer.name}, {"candidate", printCandidate(candidate)}, {"allowed", cell.allowed}};
        if (cell.allowed) {
            row["bits_per_weight"] =
                static_cast<double>(layerPayloadBits(layer, candidate)) / static_cast<double>(layer.numel());
            row["loss"] = numberOrNull(pooled[i].loss);
            row["standard_error"] = numberOrNull(pooled[i].standardError);
            if (runtime) {
                row["rounding"] = numberOrNull(cell.roundingLoss());
                row["rounding_error"] = numberOrNull(cell.roundingError());
            }
            if (isFirstOrder) {
                row["nll_change"] = numberOrNull(cell.slope());
            } else {
                row["sampled"] = numberOrNull(cell.loss());
                row["sampled_error"] = numberOrNull(cell.standardError());
            }
            if (metric)
                row[std::string(metric->id)] = numberOrNull(cell.predicted);
        }
        rows.push_back(std::move(row));
    }
    probed.document = {{"probe", options.kind},
                       {"unit", "nats per token"},
                       {"windows", task.count()},
                       {"context", windows.length},
                       {"cells", std::move(rows)}};
    return probed;
}

} // namespace ql::cli
