// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/text_options.h"
#include "app/cli/variant_options.h"
#include "core/base/text.h"
#include "core/model/evaluation/evaluate.h"
#include "core/model/frontends/frontend.h"
#include "core/plan/plan_inputs.h"
#include "core/realize/plan_weights.h"
#include "core/realize/planned_version.h"
#include "core/report/report.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::string plan;
    std::string target;
    std::string out;
    std::size_t pictures = 3;
    ActivationsOption activations;
    TransformsOption transforms;
    SolveOptions solve;
    TextOptions text;
    bool scoreAll = false;
};

/// Statistics of the weights and the error of the plan's candidate, for every layer of the plan.
Result<std::vector<ReportLayer>> analyse(Console& console, const Model& model, const Plan& plan,
                                         const Activations* activations)
{
    std::vector<ReportLayer> layers;
    console.status("analysing layers");
    for (const std::int64_t layer : model.quantizableLayers()) {
        const JobContext& context = console.context();
        const Candidate& candidate = plan.candidates[static_cast<std::size_t>(layer)];
        QL_TRY(data, model.loadWeights(layer, context));
        ReportLayer entry{layer, {}, 0, {}};
        QL_TRY(statistics, computeStatistics(data.view, context));
        entry.statistics = statistics;
        QL_TRY(outliers, findOutliers(data.view, context));
        entry.outlierShare = outliers.share;
        if (!candidate.weights.isKeep()) {
            QL_TRY(quantized, realize(model, layer, candidate, activations, context));
            QL_TRY(error, measureError(data.view, quantized, context));
            entry.error = error;
        }
        QL_CHECK(model.checkpoint->checkIntact());
        layers.push_back(entry);
    }
    return layers;
}

/// The layers with the lowest SQNR.
std::vector<std::int64_t> mostFragile(std::vector<ReportLayer> layers, std::size_t count)
{
    std::stable_sort(layers.begin(), layers.end(), [](const ReportLayer& a, const ReportLayer& b) {
        const auto sqnr = [](const ReportLayer& layer) {
            return layer.error.count > 0 ? layer.error.sqnrDb() : std::numeric_limits<double>::infinity();
        };
        return sqnr(a) < sqnr(b);
    });
    std::vector<std::int64_t> chosen;
    for (std::size_t i = 0; i < std::min(count, layers.size()); ++i)
        chosen.push_back(layers[i].layer);
    return chosen;
}

/// Runs the plan's version of the model beside the model.
Result<ReportValidation> validate(Console& console, const OpenedVariant& opened, const Plan& plan, const Target* target,
                                  const Runtime* runtime, const Options& options)
{
    const Model& model = *opened.model;
    const Activations* const activations = opened.activations.get();
    QL_TRY(graph, buildGraph(model));
    QL_TRY(windows, options.text.read(console, model));
    console.status("running " + std::to_string(windows.count()) + " windows of " + std::to_string(windows.length) +
                   " tokens");
    QL_TRY(planned, plannedVersion(model,
                                   {.plan = &plan,
                                    .target = target ? &target->profile : nullptr,
                                    .activations = activations,
                                    .runtime = runtime},
                                   console.context()));
    const EvaluationTask task{.graph = graph,
                              .windows = windows,
                              .scored = options.scoreAll ? Scored::all : Scored::secondHalf,
                              .model = opened.baseVersion(),
                              .other = &planned,
                              .onScores = {},
                              .known = {}};
    QL_TRY(scores, evaluate(task, console.context()));
    QL_CHECK(model.checkpoint->checkIntact());
    return ReportValidation{.text = options.text.name(),
                            .runtime = options.solve.runtime,
                            .windows = windows.count(),
                            .windowLength = windows.length,
                            .scores = std::move(scores)};
}

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(opened, openVariantFor(console, options.file, options.transforms, options.activations, options.plan));
    const auto& [base, model, activations, variant] = opened;
    QL_TRY(target, targetOrNull(options.target));
    QL_TRY(runtime, runtimeOrNull(options.solve.runtime));
    if (runtime && !options.text.isGiven())
        return usageError("--as is of running the plan: add --text");
    std::optional<Solved> solved;
    Plan plan = keepPlan(*model);
    if (!options.plan.empty()) {
        QL_TRY(read, readPlan(options.plan, *model));
        plan = std::move(read);
    } else if (options.solve.limits.hasBudget()) {
        QL_TRY(result, solvePlan(console, *model, options.solve, target, activations.get()));
        if (options.text.isGiven())
            QL_CHECK(options.solve.losses.checkRounding(result.runtime, options.solve.runtime));
        plan = result.result.plan;
        solved = std::move(result);
    }
    if (!target && !plan.target.empty()) {
        QL_TRY(ofPlan, findTarget(plan.target));
        target = ofPlan;
    }
    if (target) {
        QL_TRY(admitted, admit(target->profile, *model, plan));
        plan = std::move(admitted);
    }

    nameActivations(plan, solved ? solved->activations : inputsFingerprint(activations.get()));

    const std::filesystem::path folder = options.out;
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error)
        return ioError("cannot create the folder: " + error.message(), options.out);
    ReportInput input{.model = *model, .plan = plan};
    input.title = "QuantLoupe report: " +
                  std::filesystem::absolute(model->checkpoint->path()).lexically_normal().filename().string();
    input.activations = activations.get();
    input.planLayers = solved ? solved->result.planLayers : layersInPlan(*model, target ? &target->profile : nullptr);
    if (solved) {
        input.table = &solved->table;
        if (solved->uniform) {
            input.uniformCandidate = printCandidate(solved->uniformCandidate());
            input.uniformLoss = solved->uniform->predictedLoss;
        }
    }
    QL_TRY(layers, analyse(console, *model, plan, activations.get()));
    input.pictured = mostFragile(layers, options.pictures);
    input.layers = std::move(layers);

    std::optional<ReportValidation> validation;
    if (options.text.isGiven()) {
        QL_TRY(made, validate(console, opened, plan, target, runtime, options));
        validation = std::move(made);
        input.validation = &*validation;
    }
    VerifyReport verification;
    if (target) {
        const std::filesystem::path path = folder / ("model" + std::string(target->extension));
        console.status("exporting and verifying " + path.string());
        const ExportRequest request{*model, plan, activations.get()};
        QL_TRY(files, exportPlan(*target, request, path, console.context()));
        for (const WrittenFile& file : files) {
            input.files.push_back({file.name.empty() ? path.filename().string() : file.name, file.sizeBytes});
            input.fileBytes += file.sizeBytes;
        }
        QL_TRY(verified, target->verify(request, path, console.context()));
        verification = std::move(verified);
        input.verification = &verification;
    }
    console.status("drawing");
    QL_TRY(path, writeReport(input, folder, console.context()));
    const bool ok = !input.verification || verification.ok();
    console.show({{"report", path.string()},
                  {"plan", (folder / kReportPlan).string()},
                  {"bits_per_weight", bitsPerWeight(*model, plan, input.planLayers)},
                  {"predicted_loss", solved ? numberOrNull(solved->result.predictedLoss) : nlohmann::ordered_json()},
                  {"file_bytes", input.fileBytes},
                  {"kld", validation ? numberOrNull(comparisonOf(validation->scores, validation->windows).kld.value)
                                     : nlohmann::ordered_json()},
                  {"verified", input.verification ? nlohmann::ordered_json(ok) : nlohmann::ordered_json()}});
    return ok ? 0 : 1;
}

} // namespace

extern const Command report_;
const Command report_{
    "report", "analyse, solve, validate, export, verify and write it all as one HTML page",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        app.add_option("--out", options->out, "folder for the report, the plan and the exported model")->required();
        app.add_option("--plan", options->plan, "report this plan instead of solving one");
        options->solve.declare(app);
        options->activations.declare(app);
        options->transforms.declare(app);
        options->text.declare(app);
        app.add_flag("--score-all", options->scoreAll, kScoreAllHelp);
        app.add_option("--as", options->solve.runtime,
                       "run the plan with activations rounded as this runtime does, e.g. llama.cpp; solve by those of "
                       "--losses that count it");
        app.add_option("--target", options->target, "also export for this target and verify");
        app.add_option("--pictures", options->pictures, "how many layers get pictures, the most fragile first")
            ->capture_default_str();
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
