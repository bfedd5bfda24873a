// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/output_validation.h"
#include "app/cli/text_options.h"
#include "app/cli/version_options.h"
#include "core/base/text.h"
#include "core/model/evaluation/generate.h"
#include "core/model/evaluation/kept_scores.h"
#include "core/model/frontends/frontend.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    TextOptions text;
    bool scoreAll = false;
    VersionOptions version;
    std::string study;
    CaseOptions cases;
};

nlohmann::ordered_json json(const Estimate& estimate)
{
    return {{"value", numberOrNull(estimate.value)},
            {"token_error", numberOrNull(estimate.tokenError)},
            {"window_error", numberOrNull(estimate.windowError)}};
}

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(model, openModelFor(console, options.file));
    QL_TRY(graph, buildGraph(*model));
    const graph::CheckpointWeights own(*model);
    QL_TRY(other, options.version.open(console, *model, console.context()));
    if (options.cases.isGiven() || !isCausalLanguageModel(graph)) {
        if (!options.study.empty())
            return usageError("--out keeps the scores of language models on text; leave it out here");
        QL_TRY(document, validateOutputs(console, *model, graph, options.text, options.cases, {.weights = &own},
                                         other ? &other->version : nullptr));
        QL_CHECK(model->checkpoint->checkIntact());
        console.show(document);
        return 0;
    }
    QL_TRY(windows, options.text.read(console, *model));
    EvaluationTask task{.graph = graph, .windows = windows, .model = {.weights = &own}, .onScores = {}, .known = {}};
    if (options.scoreAll)
        task.scored = Scored::all;
    if (other)
        task.other = &other->version;
    console.status("running " + std::to_string(windows.count()) + " windows of " + std::to_string(windows.length) +
                   " tokens");
    std::optional<OpenedStudy> study;
    if (!options.study.empty()) {
        QL_TRY(opened, openStudyFor(console, options.study, *model, options.file));
        study = std::move(opened);
    }
    QL_TRY(scores, study ? evaluateKept(task, other ? other->identity : "", *study->study, console.context())
                         : evaluate(task, console.context()));
    QL_CHECK(model->checkpoint->checkIntact());
    if (study)
        QL_CHECK(study->study->save(study->document));
    const PerplexityScore own_ = perplexityOf(scores, windows.count());
    nlohmann::ordered_json document{{"windows", own_.windows},
                                    {"context", windows.length},
                                    {"tokens", own_.tokens},
                                    {"perplexity", json(own_.perplexity)}};
    if (task.other) {
        const ComparisonScore comparison = comparisonOf(scores, windows.count());
        document["other"] = {{"perplexity", json(comparison.perplexity)},
                             {"ln_ratio", json(comparison.lnRatio)},
                             {"kld", json(comparison.kld)},
                             {"kld_median", comparison.medianKld},
                             {"kld_99", comparison.kld99},
                             {"kld_999", comparison.kld999},
                             {"kld_max", comparison.maxKld},
                             {"same_top", json(comparison.sameTop)},
                             {"mean_delta_p", json(comparison.meanDeltaP)},
                             {"rms_delta_p", json(comparison.rmsDeltaP)}};
    }
    console.show(document);
    return 0;
}

} // namespace

extern const Command validate_;
const Command validate_{
    "validate",
    "run the model: perplexity and how far a plan is from it (KLD, top-1 agreement); of encoders and "
    "classifiers cosine, SQNR, masked tokens or labels found",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        options->text.declare(app);
        app.add_flag("--score-all", options->scoreAll, kScoreAllHelp);
        options->version.declare(app);
        options->cases.declare(app);
        app.add_option("--labels", options->cases.labels, "CSV instead of subfolders: file,number");
        app.add_option("--out", options->study,
                       "study (.qloupe) that keeps the scores as they arrive: a run that was stopped continues");
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
