// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/probed_losses.h"

#include "core/plan/plan_inputs.h"
#include "core/sensitivity/cell.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

namespace ql {

namespace {

using KnownLosses = std::map<std::pair<std::int64_t, std::string>, const LayerLoss*>;

KnownLosses knownLosses(std::span<const LayerLosses> tables)
{
    KnownLosses known;
    for (const LayerLosses& losses : tables)
        for (const LayerLoss& loss : losses.cells) {
            const auto [at, isNew] = known.try_emplace({loss.layer, printCandidate(loss.candidate)}, &loss);
            if (!isNew && loss.evidence > at->second->evidence)
                at->second = &loss;
        }
    return known;
}

/// Without a change where no layer of the group does.
ExactCell cellOf(const ExactCellsRequest& request, const LayerGroup& group, std::size_t number,
                 const KnownLosses& known)
{
    const Candidate& column = request.candidates[number];
    ExactCell cell{.group = group, .column = number, .candidate = column, .change = {}};
    double loss = 0;
    double variance = 0;
    for (const std::int64_t layer : group.layers) {
        const auto candidate = admitted(request.model, layer, column, request.target, request.activations);
        if (!candidate || candidate->weights.isKeep())
            continue;
        cell.change.emplace_back(layer, *candidate);
        if (const auto found = known.find({layer, printCandidate(*candidate)}); found != known.end()) {
            loss += found->second->loss;
            variance += found->second->standardError * found->second->standardError;
        }
    }
    cell.worth = loss * (variance > 0 ? std::sqrt(variance) : loss);
    if (group.layers.size() == 1 && !cell.change.empty())
        cell.candidate = cell.change.front().second;
    return cell;
}

bool isMeasured(const ExactCell& cell, const KnownLosses& known)
{
    if (cell.group.layers.size() != 1)
        return false;
    const auto found = known.find({cell.change.front().first, printCandidate(cell.change.front().second)});
    return found != known.end() && found->second->evidence == Evidence::measured;
}

} // namespace

const Metric* probePredictor(const Activations* activations)
{
    const Metric& best = bestMetric(activations);
    return evidenceOf(best.needs) == Evidence::gradients ? &best : nullptr;
}

std::vector<PooledLoss> pooledLosses(const GradientProbeTask& task, std::span<const ProbedCell> cells)
{
    if (task.settings.labels == ProbeLabels::text) {
        std::vector<PooledLoss> sizes;
        for (const ProbedCell& cell : cells)
            sizes.push_back({.loss = std::fabs(cell.slope()), .standardError = cell.slopeError()});
        return sizes;
    }
    std::vector<SampledLoss> sampled;
    for (const ProbedCell& cell : cells) {
        const Layer& layer = task.model.layers[static_cast<std::size_t>(cell.layer)];
        sampled.push_back(
            {.group = (layer.role.empty() ? layer.name : layer.role) + " " + std::to_string(cell.candidate),
             .loss = cell.loss(),
             .standardError = cell.standardError(),
             .windows = std::ssize(cell.products),
             .predicted = cell.predicted,
             .wider = std::to_string(cell.candidate)});
    }
    return poolLosses(sampled);
}

LayerLosses tableOf(const GradientProbeTask& task, std::span<const ProbedCell> cells,
                    std::span<const PooledLoss> losses)
{
    const bool isFirstOrder = task.settings.labels == ProbeLabels::text;
    LayerLosses table{.metric = std::string(isFirstOrder   ? "first_order"
                                            : task.runtime ? kProbedWithRounding
                                                           : kProbedLosses),
                      .activations = inputsFingerprint(task.activations),
                      .candidates = task.candidates,
                      .cells = {},
                      .runtime = task.runtime ? std::string(task.runtime->id) : ""};
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const ProbedCell& cell = cells[i];
        if (!cell.allowed || !std::isfinite(losses[i].standardError))
            continue;
        const Layer& layer = task.model.layers[static_cast<std::size_t>(cell.layer)];
        const Candidate& candidate = task.candidates[cell.candidate];
        table.cells.push_back(
            {.layer = cell.layer,
             .candidate = task.target ? task.target->complete(task.model, layer, candidate) : candidate,
             .loss = losses[i].loss + cell.roundingLoss(),
             .standardError = std::hypot(losses[i].standardError, cell.roundingError()),
             .evidence = isFirstOrder ? Evidence::gradients : Evidence::probed,
             .tokens = cell.tokens * std::ssize(cell.products)});
    }
    return table;
}

std::vector<ExactCell> exactCells(const ExactCellsRequest& request)
{
    const KnownLosses known = knownLosses(request.known);
    std::vector<ExactCell> cells;
    for (const LayerGroup& group : request.groups)
        for (std::size_t column = 0; column < request.candidates.size(); ++column) {
            ExactCell cell = cellOf(request, group, column, known);
            if (!cell.change.empty() && !(request.skipsMeasured && isMeasured(cell, known)))
                cells.push_back(std::move(cell));
        }
    std::ranges::stable_sort(cells, std::greater(), &ExactCell::worth);
    return cells;
}

std::vector<LayerGroup> singleLayers(const Model& model, std::span<const std::int64_t> layers)
{
    std::vector<LayerGroup> groups;
    for (const std::int64_t layer : layers)
        groups.push_back({.name = model.layers[static_cast<std::size_t>(layer)].name, .layers = {layer}});
    return groups;
}

LayerLoss exactLoss(const ExactCell& cell, const MeasuredChange& measured, std::int64_t tokens)
{
    const WindowMean kld = meanOf(measured.kld);
    return {.layer = cell.change.front().first,
            .candidate = cell.candidate,
            .loss = std::max(0.0, kld.value),
            .standardError = kld.standardError,
            .evidence = Evidence::measured,
            .tokens = tokens * std::ssize(measured.kld)};
}

} // namespace ql
