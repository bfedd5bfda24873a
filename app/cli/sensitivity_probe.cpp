// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/sensitivity_probe.h"

#include "app/cli/number_check.h"
#include "core/base/text.h"
#include "core/model/evaluation/generate.h"
#include "core/model/evaluation/run_cost.h"
#include "core/model/frontends/frontend.h"
#include "core/plan/plan_inputs.h"
#include "core/sensitivity/cell.h"
#include "core/sensitivity/exact_probe.h"
#include "core/sensitivity/gradient_probe.h"
#include "core/sensitivity/pooled_losses.h"

#include <CLI/CLI.hpp>

#include <cmath>
#include <functional>

namespace ql::cli {

namespace {

constexpr const char* kPairs = "pairs";
constexpr const char* kBlocks = "blocks";

/// What like layers are pooled by; null if none is known.
const Metric* predictor(const Activations* activations)
{
    const Metric& best = bestMetric(activations);
    return evidenceOf(best.needs) == Evidence::gradients ? &best : nullptr;
}

std::vector<PooledLoss> pooledOf(const Model& model, const std::vector<ProbedCell>& cells)
{
    std::vector<SampledLoss> sampled;
    for (const ProbedCell& cell : cells) {
        const Layer& layer = model.layers[static_cast<std::size_t>(cell.layer)];
        sampled.push_back(
            {.group = (layer.role.empty() ? layer.name : layer.role) + " " + std::to_string(cell.candidate),
             .loss = cell.loss(),
             .standardError = cell.standardError(),
             .windows = std::ssize(cell.products),
             .predicted = cell.predicted});
    }
    return poolLosses(sampled);
}

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

} // namespace

void ProbeOptions::declare(CLI::App& app)
{
    auto* probe =
        app.add_option("--probe", kind,
                       "gradient: the predicted KLD of the codes themselves, from gradients along the change "
                       "that they make, with standard errors; exact: the KLD measured with a layer alone at a "
                       "candidate, the most valuable first. Both need --text that the calibration behind --activations "
                       "did not see, as codes are fitted to that; gradient takes --activations calibrated "
                       "with --fisher to steady cells by those of like layers")
            ->check(CLI::IsMember({"gradient", "exact"}));
    text.declare(app);
    app.add_flag("--score-all", scoreAll, kScoreAllHelp)->needs(probe);
    app.add_option("--seed", seed, "of the labels drawn from the model")->capture_default_str()->needs(probe);
    app.add_option("--batch", batch, "windows that go forward and backward together")
        ->capture_default_str()
        ->needs(probe)
        ->check(atLeast(1));
    app.add_option("--study", study,
                   "study (.qloupe) that keeps the probe's results as they arrive: a run that was stopped continues")
        ->needs(probe);
    app.add_option("--losses", losses,
                   "tables of losses (--out of earlier runs) by which --probe exact chooses what to measure first: "
                   "large and uncertain losses; may be repeated")
        ->needs(probe);
    app.add_option("--limit", limit, "cells that --probe exact measures, at most; 0: all")
        ->capture_default_str()
        ->needs(probe)
        ->check(atLeast(0));
    app.add_option(
           "--coupling", coupling,
           "what layers lose together beyond the sum of what they lose alone, by --probe exact. pairs: each two "
           "layers that follow each other, under every two candidates; qloupe solve --losses takes them into "
           "account. blocks: the layers of a block under one candidate. All cells are run, too")
        ->needs(probe)
        ->check(CLI::IsMember({kPairs, kBlocks}));
    app.add_option("--group", groups,
                   "module group: all layers of a role or glob together under each candidate, by --probe exact; may be "
                   "repeated")
        ->needs(probe);
    for (const char* const name : {"--text", "--tokens"})
        app.get_option(name)->needs(probe);
}

namespace {

/// A cell that may be run, with how much its measurement is worth: loss × standard error, the loss itself where nothing
/// was drawn; 0 where no table knows it.
struct ExactCell {
    std::int64_t layer = 0;
    std::size_t column = 0; // of the request's candidates
    Candidate candidate;
    double worth = 0;
};

/// Several cells at once, beside each alone.
struct Together {
    std::string group; // empty: a pair
    std::vector<std::size_t> cells;
};

/// The most valuable first; what was measured already is left out.
Result<std::vector<ExactCell>> exactCells(const Model& model, const ProbeOptions& options,
                                          const MeasureRequest& request)
{
    std::map<std::pair<std::int64_t, std::string>, LayerLoss> known;
    for (const std::string& path : options.losses) {
        QL_TRY(losses, readLosses(path, model));
        for (const LayerLoss& loss : losses.cells) {
            const auto [at, isNew] = known.try_emplace({loss.layer, printCandidate(loss.candidate)}, loss);
            if (!isNew && loss.evidence > at->second.evidence)
                at->second = loss;
        }
    }
    std::vector<ExactCell> cells;
    for (const std::int64_t layer : request.layers)
        for (std::size_t column = 0; column < request.candidates.size(); ++column) {
            const auto candidate =
                admitted(model, layer, request.candidates[column], request.target, request.activations);
            if (!candidate || candidate->weights.isKeep())
                continue;
            const auto found = known.find({layer, printCandidate(*candidate)});
            if (found != known.end() && found->second.evidence == Evidence::measured)
                continue;
            const LayerLoss loss =
                found == known.end() ? LayerLoss{.layer = layer, .candidate = *candidate} : found->second;
            cells.push_back({.layer = layer,
                             .column = column,
                             .candidate = *candidate,
                             .worth = loss.loss * (loss.standardError > 0 ? loss.standardError : loss.loss)});
        }
    std::ranges::stable_sort(cells, std::greater(), &ExactCell::worth);
    if (options.limit > 0 && std::ssize(cells) > options.limit)
        cells.resize(static_cast<std::size_t>(options.limit));
    return cells;
}

/// The cells of the layers under each column.
void addGroups(const std::string& name, std::span<const std::int64_t> layers, std::span<const ExactCell> cells,
               std::size_t columns, std::vector<Together>& together)
{
    for (std::size_t column = 0; column < columns; ++column) {
        Together group{.group = name, .cells = {}};
        for (std::size_t c = 0; c < cells.size(); ++c)
            if (cells[c].column == column && std::ranges::find(layers, cells[c].layer) != layers.end())
                group.cells.push_back(c);
        if (!group.cells.empty())
            together.push_back(std::move(group));
    }
}

/// What is run beside the cells. Pairs are of layers that follow each other in the request.
Result<std::vector<Together>> togetherOf(const Model& model, const ProbeOptions& options, const MeasureRequest& request,
                                         std::span<const ExactCell> cells)
{
    std::vector<Together> together;
    if (options.coupling == kPairs)
        for (std::size_t l = 0; l + 1 < request.layers.size(); ++l)
            for (std::size_t a = 0; a < cells.size(); ++a)
                for (std::size_t b = 0; b < cells.size(); ++b)
                    if (cells[a].layer == request.layers[l] && cells[b].layer == request.layers[l + 1])
                        together.push_back({.group = {}, .cells = {a, b}});
    if (options.coupling == kBlocks)
        for (std::int64_t block = 0; block < model.blockCount; ++block) {
            std::vector<std::int64_t> layers = request.layers;
            std::erase_if(layers, [&](std::int64_t layer) {
                return model.layers[static_cast<std::size_t>(layer)].block != block;
            });
            addGroups("block " + std::to_string(block), layers, cells, request.candidates.size(), together);
        }
    for (const std::string& group : options.groups) {
        QL_TRY(layers, layersNamed(model, group, "--group"));
        addGroups(group, layers, cells, request.candidates.size(), together);
    }
    return together;
}

/// Rows of what was run together; what pairs say goes into the losses.
std::pair<nlohmann::ordered_json, nlohmann::ordered_json>
togetherRows(const Model& model, std::span<const ExactCell> cells, std::span<const Together> together,
             const std::vector<std::vector<double>>& klds, LayerLosses& losses)
{
    auto pairs = nlohmann::ordered_json::array();
    auto groups = nlohmann::ordered_json::array();
    const auto nameOf = [&](std::size_t cell) {
        return model.layers[static_cast<std::size_t>(cells[cell].layer)].name;
    };
    for (std::size_t t = 0; t < together.size(); ++t) {
        const std::vector<std::size_t>& its = together[t].cells;
        const std::vector<double>& all = klds[cells.size() + t];
        std::vector<const std::vector<double>*> alone;
        for (const std::size_t cell : its)
            alone.push_back(&klds[cell]);
        const WindowMean loss = meanOf(all);
        const WindowMean beyond = coupling(all, alone);
        nlohmann::ordered_json row;
        if (together[t].group.empty()) {
            row = {{"layers", {nameOf(its[0]), nameOf(its[1])}},
                   {"candidates", {printCandidate(cells[its[0]].candidate), printCandidate(cells[its[1]].candidate)}}};
            losses.couplings.push_back({.layers = {cells[its[0]].layer, cells[its[1]].layer},
                                        .candidates = {cells[its[0]].candidate, cells[its[1]].candidate},
                                        .loss = beyond.value,
                                        .standardError = beyond.standardError});
        } else {
            row = {{"group", together[t].group},
                   {"candidate", printCandidate(cells[its.front()].candidate)},
                   {"layers", its.size()}};
        }
        row["loss"] = loss.value;
        row["standard_error"] = loss.standardError;
        row["coupling"] = beyond.value;
        row["coupling_error"] = beyond.standardError;
        (together[t].group.empty() ? pairs : groups).push_back(std::move(row));
    }
    return {std::move(pairs), std::move(groups)};
}

Result<Probed> runExactProbe(Console& console, const ProbeOptions& options, const OpenedVariant& opened,
                             const MeasureRequest& request, const graph::Graph& graph, Study* study,
                             const StudyDocument& document)
{
    const Model& model = *opened.model;
    QL_TRY(windows, options.text.read(console, *opened.base));
    if (windows.count() < 2)
        return usageError("--probe exact takes two windows or more, whose spread tells the standard error");
    QL_TRY(cells, exactCells(model, options, request));
    QL_TRY(together, togetherOf(model, options, request, cells));
    ExactProbeTask task{.model = model,
                        .graph = graph,
                        .windows = windows,
                        .changes = {},
                        .target = request.target,
                        .activations = request.activations,
                        .scored = options.scoreAll ? Scored::all : Scored::secondHalf,
                        .sink = study};
    for (const ExactCell& cell : cells)
        task.changes.push_back({{cell.layer, cell.candidate}});
    for (const Together& several : together) {
        LayerChange& change = task.changes.emplace_back();
        for (const std::size_t cell : several.cells)
            change.emplace_back(cells[cell].layer, cells[cell].candidate);
    }
    std::vector<std::vector<double>> klds(task.changes.size());
    QL_TRY(cases, windowCases(graph, windows));
    QL_TRY(speed, measureSpeed(model, graph, cases, console.context()));
    const double once =
        speed.secondsPerMultiplyAdd * multiplyAddsPerToken(model, graph) * static_cast<double>(std::ssize(windows.ids));
    console.status("running " + std::to_string(task.changes.size()) +
                   (together.empty() ? " cells on " : " cells and sets of cells on ") +
                   std::to_string(windows.count()) + " windows: at most about " +
                   formatFixed(once * static_cast<double>(1 + task.changes.size()), 0) +
                   " s beside what the quantizers take, " + formatBytes(exactProbeBytes(task)) + " of hidden states");

    Probed probed;
    probed.losses = {.metric = "exact_probe",
                     .activations = inputsFingerprint(request.activations),
                     .candidates = request.candidates,
                     .cells = {}};
    auto rows = nlohmann::ordered_json::array();
    QL_CHECK(probeExactly(
        task,
        [&](const MeasuredChange& measured) {
            klds[measured.change] = measured.kld;
            if (measured.change >= cells.size())
                return;
            const ExactCell& cell = cells[measured.change];
            const WindowMean kld = meanOf(measured.kld);
            const WindowMean nll = meanOf(measured.nllChange);
            rows.push_back({{"name", model.layers[static_cast<std::size_t>(cell.layer)].name},
                            {"candidate", printCandidate(cell.candidate)},
                            {"loss", kld.value},
                            {"standard_error", kld.standardError},
                            {"nll_change", nll.value},
                            {"nll_change_error", nll.standardError}});
            probed.losses.cells.push_back({.layer = cell.layer,
                                           .candidate = cell.candidate,
                                           .loss = std::max(0.0, kld.value),
                                           .standardError = kld.standardError,
                                           .evidence = Evidence::measured});
        },
        console.context()));
    if (study)
        QL_CHECK(study->save(document));
    probed.document = {{"probe", options.kind},
                       {"unit", "nats per token"},
                       {"windows", windows.count()},
                       {"context", windows.length},
                       {"cells", std::move(rows)}};
    if (!together.empty()) {
        auto [pairs, groups] = togetherRows(model, cells, together, klds, probed.losses);
        if (!pairs.empty())
            probed.document["couplings"] = std::move(pairs);
        if (!groups.empty())
            probed.document["groups"] = std::move(groups);
    }
    return probed;
}

} // namespace

Result<Probed> runProbe(Console& console, const std::string& file, const ProbeOptions& options,
                        const OpenedVariant& opened, const MeasureRequest& request)
{
    const Model& model = *opened.model;
    QL_TRY(graph, buildGraph(model));
    if (!isCausalLanguageModel(graph))
        return usageError("--probe is for language models that continue text", file);
    if (options.kind != "exact" && (!options.losses.empty() || options.limit > 0))
        return usageError("--losses and --limit are for --probe exact; leave them out here");
    const bool asksTogether = !options.coupling.empty() || !options.groups.empty();
    if (options.kind != "exact" && asksTogether)
        return usageError("--coupling and --group are for --probe exact; leave them out here");
    if (asksTogether && (!options.losses.empty() || options.limit > 0))
        return usageError(
            "--coupling and --group take every cell: leave --losses and --limit out, and name fewer layers "
            "(--layer) or candidates");
    std::optional<OpenedStudy> study;
    if (!options.study.empty()) {
        QL_TRY(its, openStudyFor(console, options.study, *opened.base, file));
        study = std::move(its);
        QL_CHECK(study->study->save(study->document)); // a study that was never saved is not found again
    }
    if (options.kind == "exact")
        return runExactProbe(console, options, opened, request, graph, study ? study->study.get() : nullptr,
                             study ? study->document : StudyDocument());
    TextOptions all = options.text; // so that more windows add to what a study holds of these
    all.windows = 0;
    QL_TRY(windows, all.read(console, *opened.base));
    QL_TRY(cases, windowCases(graph, windows));
    const graph::CheckpointWeights weights(model);
    const Metric* const metric = predictor(request.activations);
    GradientProbeTask task{.model = model,
                           .graph = graph,
                           .weights = weights,
                           .windows = windows,
                           .layers = request.layers,
                           .candidates = request.candidates,
                           .target = request.target,
                           .activations = request.activations,
                           .metric = metric};
    task.settings = {.windows = options.text.windows,
                     .scored = options.scoreAll ? Scored::all : Scored::secondHalf,
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
    const std::vector<PooledLoss> pooled = pooledOf(model, cells);

    Probed probed;
    probed.losses = {.metric = "gradient_probe",
                     .activations = inputsFingerprint(request.activations),
                     .candidates = request.candidates,
                     .cells = {}};
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
            row["sampled"] = numberOrNull(cell.loss());
            row["sampled_error"] = numberOrNull(cell.standardError());
            if (metric)
                row[std::string(metric->id)] = numberOrNull(cell.predicted);
            if (std::isfinite(pooled[i].standardError))
                probed.losses.cells.push_back({.layer = cell.layer,
                                               .candidate = candidate,
                                               .loss = pooled[i].loss,
                                               .standardError = pooled[i].standardError,
                                               .evidence = Evidence::probed});
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
