// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/study_options.h"
#include "app/cli/text_options.h"
#include "core/model/evaluation/evaluate.h"
#include "core/model/frontends/frontend.h"
#include "core/realize/plan_version.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::string plan;
    TextOptions text;
    bool scoreAll = false;
    std::string runtime;
    ActivationsOption activations;
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
    QL_TRY(activations, options.activations.open(console, *model));
    QL_TRY(windows, options.text.read(console, *model));
    QL_TRY(runtime, runtimeOrNull(options.runtime));
    QL_TRY(plan, planAndTarget(options.plan, *model));
    const graph::CheckpointWeights own(*model);
    const PlanVersion other(*model, plan.plan ? &*plan.plan : nullptr, plan.profile(), activations.get(), runtime,
                            console.context());
    EvaluationTask task{.graph = graph, .windows = windows, .model = {&own, {}}, .onScores = {}, .known = {}};
    if (options.scoreAll)
        task.scored = Scored::all;
    if (plan.plan || runtime)
        task.other = &other.version();
    console.status("running " + std::to_string(windows.count()) + " windows of " + std::to_string(windows.length) +
                   " tokens");
    QL_TRY(scores, evaluate(task, console.context()));
    QL_CHECK(model->checkpoint->checkIntact());
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
    "validate", "run the model on text: perplexity, and how far a plan is from it (KLD, top-1 agreement)",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        app.add_option("--plan", options->plan, "plan to compare with the model");
        options->text.declare(app);
        app.add_flag("--score-all", options->scoreAll,
                     "score every token with one before it, not just the second half of each window");
        declareRuntime(app, options->runtime);
        options->activations.declare(app);
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
