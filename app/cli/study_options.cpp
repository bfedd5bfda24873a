// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/study_options.h"

#include "core/base/text.h"
#include "core/calibration/calibrated_activations.h"
#include "core/calibration/expert_coverage.h"
#include "core/plan/plan_inputs.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <map>

namespace ql::cli {

namespace {

Result<std::shared_ptr<const Activations>> openCalibrated(Console& console, const Model& model, const std::string& path)
{
    if (!std::filesystem::exists(path))
        return ioError("cannot open: there is no such study; make it with qloupe calibrate", path);
    std::vector<Warning> warnings;
    QL_TRY(study, openStudy(path, warnings));
    console.warn(warnings);
    if (study->document().fingerprint != model.checkpoint->fingerprint())
        return usageError("is not a study of this checkpoint", path);
    const auto activations = calibratedActivations(study, findCalibration(*study, model), path);
    if (!activations)
        return usageError("holds no calibration; run qloupe calibrate", path);
    return activations;
}

} // namespace

void ActivationsOption::declare(CLI::App& app)
{
    app.add_option("--activations", path,
                   "captured activations: .npz or HDF5, layer name -> X[tokens, in] or XᵀX[in, in]; a calibrated study "
                   "(.qloupe); or llama.cpp's importance matrix (.gguf, .dat)");
}

Result<std::shared_ptr<const Activations>> ActivationsOption::open(Console& console, const Model& model) const
{
    if (path.empty())
        return std::shared_ptr<const Activations>();
    QL_TRY(activations, path.ends_with(".qloupe") ? openCalibrated(console, model, path)
                                                  : openActivations(path, model, console.context()));
    console.warn(coverageWarnings(expertCoverage(*activations, model)));
    return activations;
}

Result<OpenedStudy> openStudyFor(Console& console, const std::string& path, const Model& model, const std::string& file)
{
    std::vector<Warning> warnings;
    QL_TRY(study, openStudy(path, warnings));
    console.warn(warnings);
    StudyDocument document = study->document();
    if (!document.fingerprint.empty() && document.fingerprint != model.checkpoint->fingerprint())
        return usageError("is the study of another checkpoint (" + document.checkpoint.string() + ")", path);
    document.checkpoint = std::filesystem::absolute(file);
    document.fingerprint = model.checkpoint->fingerprint();
    return OpenedStudy{std::move(study), std::move(document)};
}

void CandidatesOption::declare(CLI::App& app, const std::string& defaults)
{
    fallback = defaults;
    app.add_option(
        "--candidates", text,
        "candidates, separated by commas: scheme[@quantizer], e.g. int4:g64,int8:g64@mse; otherwise what the "
        "target is usually given, or without one " +
            defaults);
}

Result<std::vector<Candidate>> CandidatesOption::choose(const Model& model, const Target* target) const
{
    if (text.empty() && target)
        return usualCandidates(target->profile, model);
    return parseCandidates(text.empty() ? fallback : text);
}

Result<MeasureRequest> measureRequest(const Model& model, const CandidatesOption& candidates, const Target* target,
                                      const Activations* activations)
{
    MeasureRequest request;
    QL_TRY(chosen, candidates.choose(model, target));
    request.candidates = std::move(chosen);
    request.layers = model.quantizableLayers();
    request.target = target ? &target->profile : nullptr;
    request.activations = activations;
    return request;
}

void MetricsOption::declare(CLI::App& app)
{
    app.add_option(
        "--metrics", text,
        "metrics, separated by commas (qloupe list metrics), or all that can be computed; otherwise those that "
        "are taken by default");
}

Result<std::vector<const Metric*>> MetricsOption::choose(const Activations* activations) const
{
    std::vector<const Metric*> chosen;
    if (text.empty() || text == "all") {
        for (const Metric* metric : allMetrics())
            if (checkUsable(*metric, activations) && (text == "all" || !metric->isProxy))
                chosen.push_back(metric);
        return chosen;
    }
    for (const std::string_view part : split(text, ',')) {
        QL_TRY(metric, findMetric(trim(part)));
        QL_CHECK(checkUsable(*metric, activations));
        if (std::ranges::find(chosen, metric) == chosen.end())
            chosen.push_back(metric);
    }
    return chosen;
}

void SolveOptions::declare(CLI::App& app)
{
    limits.declareBudget(app);
    app.add_option("--solver", solver,
                   "solver (qloupe list solvers); otherwise the first that keeps all the limits that are given");
    declareTable(app);
}

void SolveOptions::declareTable(CLI::App& app)
{
    candidates.declare(app, "int4:g64,int8:g64");
    auto* its = app.add_option(
        "--metric", metric, "what is minimised (qloupe list metrics); otherwise the last of them that can be computed");
    losses.declare(app, "solved without measuring anew")->excludes(its);
    app.add_option("--pin", pins, "ROLE=CANDIDATE (or GLOB=CANDIDATE): fixes these layers; may be repeated");
    limits.declare(app);
}

void SolveOptions::declareRuntime(CLI::App& app)
{
    app.add_option("--as", runtime,
                   "weigh what this runtime's rounding of activations adds, too, e.g. llama.cpp: by losses that "
                   "qloupe sensitivity --probe gradient --as measured")
        ->needs(app.get_option("--losses"));
}

Result<void> SolveOptions::checkBudget() const
{
    return limits.hasBudget()
               ? Result<void>()
               : usageError("give a budget: --bpw X, --size 90MB or another limit (qloupe solve --help)");
}

Result<const Target*> targetOrNull(const std::string& id)
{
    if (id.empty())
        return static_cast<const Target*>(nullptr);
    return findTarget(id);
}

Result<const Runtime*> runtimeOrNull(const std::string& id)
{
    return id.empty() ? Result<const Runtime*>(nullptr) : findRuntime(id);
}

namespace {

/// Says which candidates the target refuses, for how many of the plan's layers, and why for the first.
void warnOfRefusals(Console& console, const Model& model, const TargetProfile& target,
                    std::span<const Candidate> candidates, std::span<const std::int64_t> layers)
{
    struct Kind {
        const Layer* first = nullptr;
        std::size_t count = 0;
    };
    std::vector<Kind> kinds; // in the order of the layers
    std::map<std::string, std::size_t> kindOf;
    for (const std::int64_t index : layers) {
        const Layer& layer = model.layers[static_cast<std::size_t>(index)];
        const auto [known, isNew] = kindOf.try_emplace(layerKind(layer), kinds.size());
        if (isNew)
            kinds.push_back({&layer, 0});
        ++kinds[known->second].count;
    }
    for (const Candidate& candidate : candidates) {
        std::size_t refusals = 0;
        std::string first;
        for (const Kind& kind : kinds) {
            const auto accepted = target.accepts(model, *kind.first, target.complete(model, *kind.first, candidate));
            if (accepted)
                continue;
            if (refusals == 0)
                first = describe(accepted.error());
            refusals += kind.count;
        }
        if (refusals > 0)
            console.warn(std::vector<Warning>{{printCandidate(candidate), "is refused for " + std::to_string(refusals) +
                                                                              " of " + std::to_string(layers.size()) +
                                                                              " layers, first " + first}});
    }
}

/// Says what the tables that were given lack.
Result<CostTable> tableFromLosses(Console& console, const Model& model, const SolveOptions& options,
                                  const Target* target, const Activations* activations, PreparedSolve& prepared)
{
    QL_TRY(losses, options.losses.open(console, model, activations, options.runtime));
    if (losses.runtime != options.runtime && !options.runtime.empty())
        console.warn(
            std::vector<Warning>{{"--losses", "do not count what the rounding of activations by " + options.runtime +
                                                  " adds; measure that with qloupe sensitivity --probe "
                                                  "gradient --as " +
                                                  options.runtime}});
    std::vector<Candidate> candidates = losses.candidates;
    if (options.candidates.isGiven()) {
        QL_TRY(chosen, options.candidates.choose(model, target));
        candidates = std::move(chosen);
    }
    CostTable table = makeCostTable(model, losses, candidates, target ? &target->profile : nullptr);
    prepared.lossesName = options.losses.name(losses, model);
    prepared.activations = losses.activations;
    prepared.couplings = std::move(losses.couplings);
    prepared.runtime = losses.runtime;
    const auto isLacking = [](const Cost& cost) { return cost.allowed && std::isnan(cost.loss); };
    if (const auto lacking = std::ranges::count_if(table.costs, isLacking); lacking > 0)
        console.warn(std::vector<Warning>{{"--losses", "has no loss for " + std::to_string(lacking) + " of " +
                                                           std::to_string(table.costs.size()) +
                                                           " choices, which are left out"}});
    return table;
}

Result<CostTable> measuredTable(Console& console, const Model& model, const SolveOptions& options, const Target* target,
                                const Activations* activations, PreparedSolve& prepared)
{
    QL_TRY(request, measureRequest(model, options.candidates, target, activations));
    QL_TRY(metric, options.metric.empty() ? Result(&bestMetric(activations)) : findMetric(options.metric));
    QL_CHECK(checkUsable(*metric, activations));
    request.metrics = {metric};
    if (options.metric.empty() && metric->needs == MetricNeeds::fisher)
        console.warn(std::vector<Warning>{
            {"predicted loss", "by the metric fisher, which takes a layer's inputs for uncorrelated, as there is no "
                               "loss-weighted XᵀX for kfac; calibrate with --fisher and --gram full"}});

    if (target && options.candidates.isGiven())
        warnOfRefusals(console, model, target->profile, request.candidates, prepared.request.planLayers);

    console.status("measuring " + std::to_string(request.layers.size()) + " layers × " +
                   std::to_string(request.candidates.size()) + " candidates");
    prepared.activations = inputsFingerprint(activations);
    QL_CHECK(measure(
        model, request, [&](const Measurement& cell) { prepared.cells.push_back(cell); }, console.context()));
    return makeCostTable(model, request, 0, prepared.cells);
}

} // namespace

Result<PreparedSolve> prepareSolve(Console& console, const Model& model, const SolveOptions& options,
                                   const Target* target, const Activations* activations)
{
    PreparedSolve prepared;
    BalanceRequest& request = prepared.request;
    request.target = target ? &target->profile : nullptr;
    request.planLayers = layersInPlan(model, request.target);
    request.solver = options.solver;
    const std::vector<Limit> limits = options.limits.limits();
    QL_CHECK(setLimits(model, limits, request));
    if (request.fileBytes && !target)
        return usageError("--size counts the bytes of a target's files: add --target");
    QL_CHECK(countPlaces(model, request.constraints, console.context()));
    request.start = keepPlan(model);
    if (target)
        request.start.target = target->profile.id;
    for (const std::string& pin : options.pins)
        QL_CHECK(pinLayers(model, pin, request.start));

    QL_TRY(losses, options.losses.isGiven() ? tableFromLosses(console, model, options, target, activations, prepared)
                                            : measuredTable(console, model, options, target, activations, prepared));
    QL_TRY(table, limitedTable(model, limits, std::move(losses), request.target));
    prepared.table = std::make_unique<CostTable>(std::move(table));
    request.table = prepared.table.get();
    request.couplings = prepared.couplings;
    return prepared;
}

Result<Solved> solvePlan(Console& console, const Model& model, const SolveOptions& options, const Target* target,
                         const Activations* activations)
{
    QL_CHECK(options.checkBudget());
    QL_TRY(prepared, prepareSolve(console, model, options, target, activations));
    Solved solved;
    QL_TRY(result, balance(model, prepared.request, console.context()));
    solved.result = std::move(result);
    solved.uniform = bestUniform(model, prepared.request, solved.result);
    solved.table = std::move(*prepared.table);
    solved.cells = std::move(prepared.cells);
    solved.couplings = std::move(prepared.couplings);
    solved.runtime = std::move(prepared.runtime);
    solved.activations = std::move(prepared.activations);
    return solved;
}

} // namespace ql::cli
