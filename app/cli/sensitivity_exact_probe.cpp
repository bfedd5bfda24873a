// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/sensitivity_exact_probe.h"

#include "core/base/text.h"
#include "core/model/evaluation/run_cost.h"
#include "core/plan/plan_inputs.h"
#include "core/plan/shrunk_couplings.h"
#include "core/sensitivity/probed_losses.h"

#include <cmath>

namespace ql::cli {

namespace {

Result<std::vector<LayerGroup>> groupsOf(const Model& model, const ProbeOptions& options, const MeasureRequest& request)
{
    if (options.areLayersAlone())
        return singleLayers(model, request.layers);
    std::vector<LayerGroup> groups;
    for (const std::string& word : options.groups) {
        QL_TRY(its, layerGroups(model, request.layers, word));
        groups.insert(groups.end(), its.begin(), its.end());
    }
    return groups;
}

/// The most valuable first; single layers that were measured already are left out.
Result<std::vector<ExactCell>> cellsOf(const Model& model, const ProbeOptions& options, const MeasureRequest& request)
{
    std::vector<LayerLosses> known;
    for (const std::string& path : options.losses) {
        QL_TRY(losses, openLosses(path, model, request.activations));
        known.push_back(std::move(losses));
    }
    QL_TRY(groups, groupsOf(model, options, request));
    std::vector<ExactCell> cells = exactCells({.model = model,
                                               .groups = std::move(groups),
                                               .candidates = request.candidates,
                                               .target = request.target,
                                               .activations = request.activations,
                                               .known = known,
                                               .skipsMeasured = options.groups.empty() && options.by == "kld"});
    if (options.limit > 0 && std::ssize(cells) > options.limit)
        cells.resize(static_cast<std::size_t>(options.limit));
    return cells;
}

/// Cells of single layers that are run at once, too.
struct Together {
    std::string group; // empty: a pair
    std::vector<std::size_t> cells;
};

/// Pairs are of layers that follow each other in the request.
Result<std::vector<Together>> togetherOf(const Model& model, const ProbeOptions& options, const MeasureRequest& request,
                                         std::span<const ExactCell> cells)
{
    const auto layerOf = [&](std::size_t cell) { return cells[cell].change.front().first; };
    std::vector<Together> together;
    if (options.coupling == "pairs")
        for (std::size_t l = 0; l + 1 < request.layers.size(); ++l)
            for (std::size_t a = 0; a < cells.size(); ++a)
                for (std::size_t b = 0; b < cells.size(); ++b)
                    if (layerOf(a) == request.layers[l] && layerOf(b) == request.layers[l + 1])
                        together.push_back({.group = {}, .cells = {a, b}});
    if (options.coupling != "groups")
        return together;
    for (const std::string& word : options.groups) {
        QL_TRY(groups, layerGroups(model, request.layers, word));
        for (const LayerGroup& group : groups)
            for (std::size_t column = 0; column < request.candidates.size(); ++column) {
                Together its{.group = group.name, .cells = {}};
                for (std::size_t c = 0; c < cells.size(); ++c)
                    if (cells[c].column == column && std::ranges::find(group.layers, layerOf(c)) != group.layers.end())
                        its.cells.push_back(c);
                if (!its.cells.empty())
                    together.push_back(std::move(its));
            }
    }
    return together;
}

/// Rows of what was run together; what pairs say goes into the losses, and beside it stands what solve makes of them
/// all, 0 where it leaves them out. `windows`: the loss of each change by window.
nlohmann::ordered_json couplingRows(const Model& model, std::span<const ExactCell> cells,
                                    std::span<const Together> together, const std::vector<std::vector<double>>& windows,
                                    LayerLosses& losses)
{
    auto rows = nlohmann::ordered_json::array();
    for (std::size_t t = 0; t < together.size(); ++t) {
        std::vector<const std::vector<double>*> alone;
        for (const std::size_t cell : together[t].cells)
            alone.push_back(&windows[cell]);
        const std::vector<double>& all = windows[cells.size() + t];
        const WindowMean loss = meanOf(all);
        const WindowMean beyond = coupling(all, alone);
        const ExactCell& first = cells[together[t].cells.front()];
        const ExactCell& last = cells[together[t].cells.back()];
        nlohmann::ordered_json row;
        if (together[t].group.empty()) {
            const auto nameOf = [&](const ExactCell& cell) {
                return model.layers[static_cast<std::size_t>(cell.change.front().first)].name;
            };
            row = {{"layers", {nameOf(first), nameOf(last)}},
                   {"candidates", {printCandidate(first.candidate), printCandidate(last.candidate)}}};
            losses.couplings.push_back({.layers = {first.change.front().first, last.change.front().first},
                                        .candidates = {first.candidate, last.candidate},
                                        .loss = beyond.value,
                                        .standardError = beyond.standardError});
        } else {
            row = {{"group", together[t].group},
                   {"candidate", printCandidate(first.candidate)},
                   {"layers", together[t].cells.size()}};
        }
        row["loss"] = numberOrNull(loss.value);
        row["standard_error"] = numberOrNull(loss.standardError);
        row["coupling"] = numberOrNull(beyond.value);
        row["coupling_error"] = numberOrNull(beyond.standardError);
        rows.push_back(std::move(row));
    }
    const std::vector<LayerCoupling> taken = shrunk(losses.couplings);
    for (std::size_t i = 0; i < losses.couplings.size(); ++i) {
        rows[i]["shrunk"] = taken.empty() ? 0.0 : taken[i].loss;
        rows[i]["shrunk_error"] = taken.empty() ? 0.0 : taken[i].standardError;
    }
    return rows;
}

WindowMean lossOf(const MeasuredChange& measured, const std::string& by)
{
    return by == "kld" ? meanOf(measured.kld) : by == "sqnr" ? noiseToSignal(measured) : meanOf(measured.nllChange);
}

nlohmann::ordered_json rowOf(const ExactCell& cell, const MeasuredChange& measured, const ProbeOptions& options)
{
    const WindowMean loss = lossOf(measured, options.by);
    nlohmann::ordered_json row{{"name", cell.group.name}};
    if (!options.groups.empty() && options.coupling.empty())
        row["layers"] = cell.change.size();
    row["candidate"] = printCandidate(cell.candidate);
    row["loss"] = numberOrNull(loss.value);
    row["standard_error"] = numberOrNull(loss.standardError);
    const WindowMean kld = meanOf(measured.kld);
    if (options.by != "kld") {
        row["kld"] = numberOrNull(kld.value);
        row["kld_error"] = numberOrNull(kld.standardError);
    }
    const WindowMean nll = meanOf(measured.nllChange);
    row["nll_change"] = numberOrNull(nll.value);
    row["nll_change_error"] = numberOrNull(nll.standardError);
    const WindowMean noise = noiseToSignal(measured);
    const double perRatio = 10 / std::log(10); // decibels
    row["sqnr_db"] = noise.value > 0 ? nlohmann::ordered_json(-perRatio * std::log(noise.value)) : nullptr;
    row["sqnr_db_error"] =
        noise.value > 0 ? numberOrNull(perRatio * noise.standardError / noise.value) : nlohmann::ordered_json();
    return row;
}

} // namespace

Result<Probed> runExactProbe(Console& console, const ProbeOptions& options, const OpenedVariant& opened,
                             const MeasureRequest& request, const graph::Graph& graph, const OpenedStudy* study)
{
    const Model& model = *opened.model;
    QL_TRY(windows, options.text.read(console, *opened.base));
    if (windows.count() < 2)
        return usageError("--probe exact takes two windows or more, whose spread tells the standard error");
    QL_TRY(cells, cellsOf(model, options, request));
    QL_TRY(together, togetherOf(model, options, request, cells));
    ExactProbeTask task{.model = model,
                        .graph = graph,
                        .windows = windows,
                        .changes = {},
                        .target = request.target,
                        .activations = request.activations,
                        .scored = options.scoreAll ? Scored::all : Scored::secondHalf,
                        .sink = study ? study->study.get() : nullptr};
    for (const ExactCell& cell : cells)
        task.changes.push_back(cell.change);
    for (const Together& several : together) {
        LayerChange& change = task.changes.emplace_back();
        for (const std::size_t cell : several.cells)
            change.push_back(cells[cell].change.front());
    }
    std::vector<std::vector<double>> ofWindows(task.changes.size());
    QL_TRY(cases, windowCases(graph, windows));
    QL_TRY(speed, measureSpeed(model, graph, cases, console.context()));
    const double once =
        speed.secondsPerMultiplyAdd * multiplyAddsPerToken(model, graph) * static_cast<double>(std::ssize(windows.ids));
    console.status("running " + std::to_string(task.changes.size()) +
                   (together.empty() ? " cells on " : " cells and sets of cells on ") +
                   std::to_string(windows.count()) + " windows: at most about " +
                   formatFixed(once * static_cast<double>(1 + task.changes.size()), 0) +
                   " s beside what the quantizers take, " + formatBytes(exactProbeBytes(task)) + " of hidden states");

    QL_TRY(perWindow, scoredPerWindow(windows.length, task.scored));
    Probed probed;
    probed.losses = {.metric = options.by == "kld" ? "exact_probe" : "exact_probe_" + options.by,
                     .activations = inputsFingerprint(request.activations),
                     .candidates = request.candidates,
                     .cells = {}};
    auto rows = nlohmann::ordered_json::array();
    QL_CHECK(probeExactly(
        task,
        [&](const MeasuredChange& measured) {
            ofWindows[measured.change] = options.by == "kld" ? measured.kld : measured.nllChange;
            if (measured.change >= cells.size())
                return;
            const ExactCell& cell = cells[measured.change];
            rows.push_back(rowOf(cell, measured, options));
            if (!options.makesTable())
                return;
            LayerLoss loss = exactLoss(cell, measured, perWindow);
            if (options.by != "kld") {
                const WindowMean other = lossOf(measured, options.by);
                loss.loss = std::max(0.0, other.value);
                loss.standardError = other.standardError;
            }
            probed.losses.cells.push_back(std::move(loss));
        },
        console.context()));
    if (study)
        QL_CHECK(study->study->save(study->document));
    probed.document = {{"probe", options.kind},
                       {"by", options.by},
                       {"unit", options.by == "sqnr" ? "noise ÷ signal" : "nats per token"},
                       {"windows", windows.count()},
                       {"context", windows.length},
                       {"cells", std::move(rows)}};
    if (!together.empty())
        probed.document["couplings"] = couplingRows(model, cells, together, ofWindows, probed.losses);
    return probed;
}

} // namespace ql::cli
