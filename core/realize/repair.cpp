// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/repair.h"

#include "core/base/sum.h"
#include "core/base/text.h"
#include "core/model/evaluation/evaluate.h"
#include "core/realize/held_weights.h"
#include "core/realize/scaled_rows.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace ql {

namespace {

constexpr std::int64_t kHeldBytes = std::int64_t{4} << 30;                 // of restored weights, and of codes
constexpr std::array<std::string_view, 3> kTuned{"norms", "rows", "both"}; // as TunedScales

Windows part(const Windows& windows, std::int64_t first, std::int64_t last)
{
    return {.length = windows.length,
            .ids = {windows.ids.begin() + first * windows.length, windows.ids.begin() + last * windows.length}};
}

Cases part(const Cases& cases, std::int64_t first, std::int64_t last)
{
    Cases some = cases;
    some.count = last - first;
    some.batch = [batch = cases.batch, first](std::int64_t from, std::int64_t to, const JobContext& context) {
        return batch(first + from, first + to, context);
    };
    return some;
}

/// The plan as the target's files hold it: with the coding of scales that they have where none was named.
Plan completed(const Model& model, const VersionSettings& settings)
{
    Plan plan = *settings.plan;
    for (std::size_t i = 0; settings.target && i < plan.candidates.size(); ++i)
        if (model.layers[i].quantizable)
            plan.candidates[i] = settings.target->complete(model, model.layers[i], plan.candidates[i]);
    return plan;
}

/// Mean KLD of each window.
Result<std::vector<double>> divergences(const RepairTask& task, const Windows& windows, const ModelVersion& version,
                                        const JobContext& context)
{
    QL_TRY(scores, evaluate({.graph = task.graph,
                             .windows = windows,
                             .scored = Scored::all,
                             .model = task.own,
                             .other = &version,
                             .onScores = {},
                             .known = {}},
                            context));
    std::vector<double> means;
    const std::size_t each = scores.size() / static_cast<std::size_t>(windows.count());
    for (std::size_t begin = 0; begin < scores.size(); begin += each) {
        CompensatedSum sum;
        for (std::size_t i = begin; i < begin + each; ++i)
            sum.add(scores[i].kld);
        means.push_back(sum.value() / static_cast<double>(each));
    }
    return means;
}

Result<HeldOutScore> score(const RepairTask& task, const Windows& windows, const ModelVersion& before,
                           const ModelVersion& after, const JobContext& context)
{
    QL_TRY(old, divergences(task, windows, before, context));
    QL_TRY(repaired, divergences(task, windows, after, context));
    const auto n = static_cast<double>(old.size());
    HeldOutScore result{.isKld = true, .cases = windows.count()};
    for (std::size_t w = 0; w < old.size(); ++w) {
        result.before += old[w] / n;
        result.after += repaired[w] / n;
    }
    double squares = 0;
    for (std::size_t w = 0; w < old.size(); ++w) {
        const double off = repaired[w] - old[w] - (result.after - result.before);
        squares += off * off;
    }
    if (old.size() > 1)
        result.error = std::sqrt(squares / (n - 1) / n);
    return result;
}

Result<HeldOutScore> score(const RepairTask& task, const Cases& cases, const ModelVersion& before,
                           const ModelVersion& after, const JobContext& context)
{
    HeldOutScore result{.isKld = false, .cases = cases.count};
    for (const auto& [version, value] : {std::pair(&before, &result.before), {&after, &result.after}}) {
        QL_TRY(scores,
               evaluateCases({.graph = task.graph, .cases = cases, .model = task.own, .other = version}, context));
        if (scores.outputs.empty())
            return refused("has no output of real numbers, so nothing tells whether a repair is one");
        *value = -scores.outputs.front().sqnrDb;
    }
    return result;
}

} // namespace

Result<RepairMethod> parseRepairMethod(std::string_view text)
{
    const auto wrong = [&](const std::string& what) {
        return usageError("'" + printable(text) + "': " + what +
                          "; take statistics, statistics:moments, statistics:least_squares, or kld with any of "
                          "steps=, batch=, rate=, seed=, tune=norms|rows|both and check=, e.g. kld:steps=40:tune=both");
    };
    const auto words = split(text, ':');
    RepairMethod method;
    if (words.front() == "statistics") {
        if (words.size() > 2 || (words.size() == 2 && words[1] != "moments" && words[1] != "least_squares"))
            return wrong("statistics are matched by moments or least_squares");
        if (words.size() == 2)
            method.match = words[1] == "moments" ? NormMatch::moments : NormMatch::leastSquares;
        return method;
    }
    if (words.front() != "kld")
        return wrong("no such repair");
    method.isTuned = true;
    for (const std::string_view word : std::span(words).subspan(1)) {
        const auto equals = word.find('=');
        const std::string_view key = word.substr(0, equals);
        const std::string_view value = equals == std::string_view::npos ? "" : word.substr(equals + 1);
        const auto whole = parseInt(value);
        const auto number = parseDouble(value);
        constexpr std::int64_t kMost = 1'000'000;
        if (key == "rate" && number && *number > 0 && *number <= 1)
            method.tuning.rate = *number;
        else if (key == "steps" && whole && *whole >= 1 && *whole <= kMost)
            method.tuning.steps = *whole;
        else if (key == "batch" && whole && *whole >= 1 && *whole <= kMost)
            method.tuning.batch = *whole;
        else if (key == "seed" && whole && *whole >= 0)
            method.tuning.seed = static_cast<std::uint64_t>(*whole);
        else if (key == "check" && whole && *whole >= 0 && *whole <= kMost)
            method.tuning.check = *whole;
        else if (const auto tuned = std::ranges::find(kTuned, value); key == "tune" && tuned != kTuned.end())
            method.tuning.scales = static_cast<TunedScales>(tuned - kTuned.begin());
        else
            return wrong("'" + printable(word) + "' is no option, or its value is out of bounds");
    }
    return method;
}

std::string printRepairMethod(const RepairMethod& method)
{
    if (!method.isTuned)
        return std::string("statistics:") + (method.match == NormMatch::moments ? "moments" : "least_squares");
    const ScaleTuningSettings& its = method.tuning;
    return "kld:steps=" + std::to_string(its.steps) + ":batch=" + std::to_string(its.batch) +
           ":rate=" + formatDouble(its.usedRate()) + ":seed=" + std::to_string(its.seed) +
           ":tune=" + std::string(kTuned[static_cast<std::size_t>(its.scales)]) + ":check=" + std::to_string(its.check);
}

Result<Repair> findRepair(const RepairTask& task, const JobContext& context)
{
    const std::int64_t count = task.cases ? task.cases->count : task.windows.count();
    if (count < 2)
        return usageError("a repair needs two windows or cases at least: some to repair with, and some to see whether "
                          "it is one");
    if (task.method.isTuned && task.cases)
        return refused("the KLD is that of language models on text; take the method statistics");
    const auto share = static_cast<std::int64_t>(std::llround(task.heldOut * static_cast<double>(count)));
    const std::int64_t used = count - std::clamp<std::int64_t>(share, 1, count - 1);
    const bool isChecked = task.method.isTuned && task.method.tuning.check > 0;
    const std::int64_t judged = isChecked ? used + (count - used) / 2 : used; // the first that judges
    if (isChecked && judged == used)
        return usageError("checks need two windows that are held out at least: one to choose the steps by, and one to "
                          "see whether that is a repair");
    const TunedScales scales = task.method.isTuned ? task.method.tuning.scales : TunedScales::norms;
    Norms found;
    if (scales != TunedScales::rows)
        found = normsOf(*task.model, task.graph);
    ScaledRows rows;
    const Plan plan = completed(*task.model, task.settings);
    VersionSettings settings = task.settings;
    settings.plan = &plan;
    if (scales != TunedScales::norms) {
        rows = scaledRowsOf(*task.model, task.graph, plan);
        if (!settings.codes) // of both versions
            settings.codes = std::make_shared<CodeCache>(kHeldBytes);
    }
    if (found.norms.empty() && rows.layers.empty())
        return refused(
            scales == TunedScales::norms
                ? "has no norm whose gain is stored and its own, so there is nothing to repair"
                : "has no linear layer whose scheme's scales rows could be multiplied by" +
                      std::string(scales == TunedScales::both ? ", and no norm with a gain of its own" : "") +
                      ", so there is nothing to repair");
    Repair repair;
    repair.notes = found.notes;
    repair.notes.insert(repair.notes.end(), rows.notes.begin(), rows.notes.end());
    QL_TRY(planned, plannedVersion(*task.model, settings, context));
    planned.weights = std::make_shared<HeldWeights>(planned.weights, kHeldBytes);
    if (task.method.isTuned) {
        const Windows windows = part(task.windows, 0, used);
        QL_TRY(tuned, tuneScales({.model = *task.model,
                                  .graph = task.graph,
                                  .windows = windows,
                                  .own = task.own,
                                  .planned = planned,
                                  .settings = task.method.tuning,
                                  .checked = part(task.windows, used, judged),
                                  .onStep = task.onStep},
                                 found.norms, rows.layers, context));
        repair.tensors = std::move(tuned.tensors);
        repair.rowFactors = std::move(tuned.rowFactors);
        repair.keptSteps = tuned.keptSteps;
        repair.checks = std::move(tuned.checks);
    } else {
        QL_TRY(all, task.cases ? Result(*task.cases) : windowCases(task.graph, task.windows));
        const Cases cases = part(all, 0, used);
        QL_TRY(matched, repairByStatistics({.model = *task.model,
                                            .graph = task.graph,
                                            .cases = cases,
                                            .own = task.own,
                                            .planned = planned,
                                            .match = task.method.match},
                                           found.norms, context));
        repair.tensors = std::move(matched);
    }
    // What the repaired model is in the files: gains and scales rounded to the type they have.
    const auto repairedModel = withRepairedTensors(*task.model, repair.tensors, repair.rowFactors);
    QL_TRY(own, plannedVersion(*repairedModel, settings, context));
    std::set<std::int64_t> layers;
    for (const auto* const tensors : {&repair.tensors, &repair.rowFactors})
        for (const RepairedTensor& tensor : *tensors)
            layers.insert(tensor.layer);
    ModelVersion repaired = planned;
    repaired.weights = std::make_shared<OverlaidWeights>(planned.weights, own.weights, std::move(layers));
    QL_TRY(heldOut, task.cases ? score(task, part(*task.cases, judged, count), planned, repaired, context)
                               : score(task, part(task.windows, judged, count), planned, repaired, context));
    repair.heldOut = heldOut;
    return repair;
}

} // namespace ql
