// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/case_options.h"
#include "app/cli/command.h"
#include "app/cli/coverage_rows.h"
#include "app/cli/study_options.h"
#include "app/cli/text_options.h"
#include "core/base/text.h"
#include "core/calibration/calibrated_activations.h"
#include "core/calibration/depth_figures.h"
#include "core/calibration/fisher.h"
#include "core/model/evaluation/generate.h"
#include "core/model/frontends/frontend.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::string study;
    std::string gram = "full";
    TextOptions text;
    CaseOptions cases;
    CalibrationSettings settings;
    std::vector<std::string> full;
    bool depth = false;
    bool fisher = false;
    FisherSettings fisherSettings;
};

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(model, openModelFor(console, options.file));
    QL_TRY(graph, buildGraph(*model));
    const bool isText = !options.cases.isGiven();
    QL_TRY(windows, isText ? options.text.read(console, *model, textReaderOf(graph)) : Result(Windows()));
    QL_TRY(cases, isText ? windowCases(graph, windows) : options.cases.open(*model, graph, console.context()));
    QL_TRY(opened, openStudyFor(console, options.study, *model, options.file));

    CalibrationSettings settings = options.settings;
    const auto gram = gramKindFromWord(options.gram);
    if (!gram || settings.blockSize < 1 || settings.batchWindows < 1)
        return usageError("--gram takes diag, blocks or full; --block-size and --batch are at least 1");
    settings.gram = *gram;
    if (options.fisherSettings.windows < 0 || options.fisherSettings.batchWindows < 1)
        return usageError("--fisher-windows takes 0 (all) or more, --fisher-batch at least 1");
    for (const std::string& pattern : options.full) {
        QL_TRY(layers, model->match(pattern));
        settings.full.insert(settings.full.end(), layers.begin(), layers.end());
    }
    const graph::CheckpointWeights weights(*model);
    const CalibrationTask task{*model, graph, weights, cases, settings, *opened.study, {}};
    const CalibrationCost cost = calibrationCost(*model, graph, settings, cases.count, cases.tokens);
    const auto announce = [&](const char* what, std::int64_t count, const CalibrationCost& its) {
        console.status(std::string(what) + " on " +
                       (isText ? std::to_string(count * cases.tokens) + " tokens" : std::to_string(count) + " cases") +
                       ": about " + formatBytes(its.resultBytes) + " in the study, " + formatBytes(its.memoryBytes) +
                       " of memory");
    };
    announce("calibrating", cases.count, cost);
    QL_CHECK(opened.study->save(opened.document)); // a study that was never saved is not found again
    QL_CHECK(calibrate(task, console.context()));
    QL_CHECK(opened.study->save(opened.document));
    nlohmann::ordered_json result{{"study", options.study}, {isText ? "windows" : "cases", cases.count}};
    if (isText)
        result["tokens"] = cases.count * cases.tokens;
    result["gram"] = word(settings.gram);
    result["result_bytes"] = cost.resultBytes;
    result["memory_bytes"] = cost.memoryBytes;
    const auto activations = calibratedActivations(opened.study, findCalibration(*opened.study, *model), options.study);
    if (const auto coverage = activations ? expertCoverage(*activations, *model) : std::vector<ExpertCoverage>();
        !coverage.empty()) {
        console.warn(coverageWarnings(coverage));
        result["experts"] = coverageRows(coverage);
    }
    if (options.depth) {
        console.status("along the depth, on " + std::to_string(windows.count() * windows.length) + " tokens");
        QL_CHECK(measureDepth({*model, graph, weights, windows, *opened.study}, console.context()));
        QL_CHECK(opened.study->save(opened.document));
        result["depth"] = {{"windows", windows.count()}, {"tokens", windows.count() * windows.length}};
    }
    if (options.fisher) {
        FisherSettings its = options.fisherSettings;
        its.keepGramsAs(settings);
        const auto save = [&](std::int64_t) { return opened.study->save(opened.document); };
        const FisherTask fisher{*model, graph, weights, windows, its, *opened.study, save};
        if (settings.gram != GramKind::full && settings.full.empty())
            console.warn(std::vector<Warning>{{"--gram " + options.gram,
                                               "leaves the KLD to the metric fisher, which takes a layer's inputs for "
                                               "uncorrelated; --gram full keeps what kfac needs"}});
        const CalibrationCost price = fisherCost(*model, graph, its, windows.count(), windows.length);
        announce("differentiating", fisher.count(), price);
        QL_CHECK(estimateFisher(fisher, console.context()));
        result["fisher"] = {{"windows", fisher.count()},
                            {"tokens", fisher.count() * windows.length},
                            {"seed", options.fisherSettings.seed},
                            {"result_bytes", price.resultBytes},
                            {"memory_bytes", price.memoryBytes}};
    }
    console.show(result);
    return 0;
}

} // namespace

extern const Command calibrate_;
const Command calibrate_{
    "calibrate",
    "run the model on text, arrays or pictures and keep what its layers see; continues where an earlier run was "
    "stopped",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        app.add_option("--out", options->study, "study (.qloupe) the results go into")->required();
        options->text.declare(app);
        options->cases.declare(app);
        app.add_option("--gram", options->gram, "how much of XᵀX is kept: diag, blocks or full")->capture_default_str();
        app.add_option("--block-size", options->settings.blockSize, "size of the blocks")->capture_default_str();
        app.add_option("--full-limit", options->settings.fullLimit, "wider inputs get blocks instead of full")
            ->capture_default_str();
        app.add_option("--full", options->full,
                       "layers (name or glob) whose inputs get all of XᵀX whatever the others get; may be repeated");
        app.add_option("--batch", options->settings.batchWindows,
                       "windows, or cases, that go through the model together")
            ->capture_default_str();
        auto* depth = app.add_flag("--depth", options->depth,
                                   "also how far each block turns hidden states (LIM), and the entropy of inputs");
        auto* fisher =
            app.add_flag("--fisher", options->fisher,
                         "also how much each weight matters to the predictions (Fisher diagonal), and, of inputs "
                         "that get all of XᵀX, each token as much as the loss feels it");
        for (const char* other : {"--inputs", "--images"})
            for (auto* only : {depth, fisher})
                only->excludes(app.get_option(other));
        app.add_option("--fisher-windows", options->fisherSettings.windows, "how many of the windows for it; 0: all")
            ->capture_default_str()
            ->needs(fisher);
        app.add_option("--fisher-batch", options->fisherSettings.batchWindows,
                       "windows that go forward and backward together")
            ->capture_default_str()
            ->needs(fisher);
        app.add_flag("--output-gram", options->fisherSettings.outputGram,
                     "with it also the Gram matrices of the gradients of outputs, for gptq:rows=together")
            ->needs(fisher);
        app.add_option("--seed", options->fisherSettings.seed, "of the labels drawn from the model")
            ->capture_default_str()
            ->needs(fisher);
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
