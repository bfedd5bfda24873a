// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/candidates_validation.h"
#include "app/cli/command.h"
#include "app/cli/output_validation.h"
#include "app/cli/plan_prediction.h"
#include "app/cli/text_options.h"
#include "app/cli/version_options.h"
#include "core/base/text.h"
#include "core/model/evaluation/generate.h"
#include "core/model/evaluation/kept_scores.h"
#include "core/model/frontends/frontend.h"
#include "core/plan/plan_totals.h"
#include "core/sensitivity/plan_prediction.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    TextOptions text;
    bool scoreAll = false;
    VersionOptions version;
    std::string study;
    LossesOption losses;
    CaseOptions cases;
    std::string candidates;
    std::vector<std::string> plans;
};

constexpr const char* kFigures =
    R"(Figures of language models, over the scored tokens, as llama-perplexity defines them; p is the model's
probability of the token that follows, q the other version's:
  perplexity    exp(mean of -ln p)
  ln_ratio      ln(perplexity of the other / of the model), the mean of ln p - ln q; nats per token
  kld           mean of the sum over the vocabulary of p (ln p - ln q); nats per token
  kld_median, kld_99, kld_999, kld_max: percentiles 50, 99, 99.9 and 100 of it
  kld_windows   mean kld of each window, in order: the difference of two plans on the same text is surer than each alone
  same_top      share of tokens, 0 to 1, where both hold the same token for the most likely
  mean_delta_p  mean of q - p;  rms_delta_p: root of the mean of (q - p)^2; probabilities, 0 to 1
  token_error, window_error: standard errors of the mean over tokens, and over windows: the wider and the safer one, as
                tokens of one window are not independent (0 for one window)
Figures of encoders and classifiers:
  sqnr_db       10 log10(sum of x^2 / sum of (x - y)^2) over an output, dB; none where both are equal
  mean_cosine, least_cosine: over the rows of an output in both versions; embedding is the mean of hidden over tokens
  loss          mean of -ln p(answer), nats; answers are labels, or tokens hidden behind the mask
  top1, top5    shares of answers that are the most likely, and among the five most likely
  error         standard error of the mean over rows
Prediction of a plan's kld (with --activations of a study calibrated with --fisher, or --losses), made before it is
measured:
  predicted_sum the plan's losses by the metric or by --losses, with their couplings, added up;  predicted_sum_error: its
                standard error;  losses: which table it was;  floor: kld of the rounding of activations alone (--as, +a:)
  value, low, high: floor + a curve through the sum fitted on the plans that the studies (--activations, --losses,
                --out) remember,
                and the interval that holds the measured kld with probability level; without plans it is wide
  inside, trusted: whether it did; a prediction is not trusted while the last one of its metric was outside, and
                suspects are the roles and blocks whose share of the sum goes with the errors)";

nlohmann::ordered_json json(const Estimate& estimate, const char* unit)
{
    return {{"value", numberOrNull(estimate.value)},
            {"token_error", numberOrNull(estimate.tokenError)},
            {"window_error", numberOrNull(estimate.windowError)},
            {"unit", unit}};
}

/// Candidates or plans side by side.
Result<int> runSeveral(Console& console, const Options& options)
{
    const bool arePlans = !options.plans.empty();
    std::vector<Candidate> candidates;
    if (!arePlans) {
        QL_TRY(parsed, parseCandidates(options.candidates));
        candidates = std::move(parsed);
    }
    QL_TRY(opened, openVariantFor(console, options.file, options.version.transforms, options.version.activations,
                                  arePlans ? options.plans.front() : ""));
    QL_TRY(graph, buildGraph(*opened.model));
    if (options.cases.isGiven() || !isCausalLanguageModel(graph))
        return usageError("--candidates and --plans are compared by language models on text; give --plan here");
    QL_TRY(windows, options.text.read(console, *opened.base));
    EvaluationTask task{.graph = graph, .windows = windows, .model = opened.baseVersion(), .onScores = {}, .known = {}};
    if (options.scoreAll)
        task.scored = Scored::all;
    const Activations* const activations = opened.activations.get();
    QL_TRY(rows, arePlans ? validatePlans(console, *opened.model, options.plans, activations, task)
                          : validateCandidates(console, *opened.model, candidates, activations, task));
    QL_CHECK(opened.base->checkpoint->checkIntact());
    console.show({{"windows", windows.count()},
                  {"context", windows.length},
                  {arePlans ? "plans" : "candidates", std::move(rows)}});
    return 0;
}

/// What --losses says of a plan.
struct GivenLosses {
    CostTable table;
    std::vector<LayerCoupling> couplings;
    std::string name;
    std::string runtime; // whose rounding of activations is in them
};

/// Refused where they do not have all of the plan, or count another runtime's rounding of activations than is run.
Result<GivenLosses> givenLosses(Console& console, const LossesOption& option, const OtherVersion& other,
                                const std::string& runtime)
{
    const Model& model = *other.opened.model;
    const Plan& plan = *other.plan;
    QL_TRY(losses, option.open(console, model, other.opened.activations.get(), runtime));
    QL_CHECK(option.checkRounding(losses.runtime, runtime));
    QL_TRY(target, targetOrNull(plan.target));
    std::vector<Candidate> columns = losses.candidates;
    for (const std::int64_t layer : model.quantizableLayers())
        if (const Candidate& its = plan.candidates[static_cast<std::size_t>(layer)];
            std::ranges::find(columns, its) == columns.end())
            columns.push_back(its);
    GivenLosses given{.table = makeCostTable(model, losses, columns, target ? &target->profile : nullptr),
                      .couplings = losses.couplings,
                      .name = option.name(losses, model),
                      .runtime = losses.runtime};
    for (std::size_t i = 0; i < given.table.items.size(); ++i) {
        const auto first = static_cast<std::size_t>(given.table.items[i].layers.front());
        if (std::isnan(plannedLoss(given.table, i, plan)))
            return usageError("has no loss of " + given.table.items[i].name + " under " +
                                  printCandidate(plan.candidates[first]) +
                                  ", as the plan has it; measure it, too, or leave --losses out",
                              option.paths.front());
    }
    return given;
}

/// Null where nothing predicts the plan's KLD. `losses`: null where none were given.
Result<nlohmann::ordered_json> predictionOf(Console& console, const Options& options, const EvaluationTask& task,
                                            const OtherVersion& other, const GivenLosses* losses, const Estimate& kld,
                                            ResultSink* sink)
{
    const OpenedVariant& opened = other.opened;
    if (!other.plan || (!losses && bestMetric(opened.activations.get()).unit != kNatsPerToken))
        return nlohmann::ordered_json();
    ModelVersion exact = other.version; // beside what is summed
    std::string identity = other.identity;
    if (losses && !losses->runtime.empty()) {
        exact.layerInput = exact.laterInput = {};
        identity += "\nkeys and values alone";
    }
    if (exact.layerInput || exact.keysValues)
        console.status("running the rounding of activations alone");
    QL_TRY(floor, activationFloor(task, exact, identity, sink, console.context()));
    QL_TRY(target, targetOrNull(other.plan->target));
    std::vector<std::string> paths = options.losses.paths;
    paths.insert(paths.end(), {options.version.activations.path, options.study});
    std::vector<PredictionRecord> records = predictionsIn(paths);
    console.status("predicting the plan");
    PlanToPredict toPredict{.model = *opened.model,
                            .plan = *other.plan,
                            .target = target ? &target->profile : nullptr,
                            .activations = opened.activations.get(),
                            .runtime = options.version.runtime,
                            .windows = task.windows,
                            .scored = task.scored,
                            .text = options.text.name()};
    if (losses) {
        toPredict.losses = &losses->table;
        toPredict.lossesName = losses->name;
        toPredict.couplings = losses->couplings;
    }
    QL_TRY(predicted, predictPlan(toPredict, floor, records, sink, console.context()));
    if (!predicted)
        return nlohmann::ordered_json();
    predicted->point.measured = kld.value;
    predicted->point.standardError = kld.windowError;
    records.push_back(*predicted);
    nlohmann::ordered_json json = predictionJson(predicted->expected, records, predicted->of);
    json["predicted_sum"] = numberOrNull(predicted->point.predicted.sum);
    json["predicted_sum_error"] = numberOrNull(predicted->point.predicted.sumError);
    if (losses)
        json["losses"] = losses->name;
    json["floor"] = floor;
    json["measured"] = kld.value;
    json["inside"] = predicted->expected.holds(kld.value);
    if (!predicted->expected.holds(kld.value))
        json["suspects"] = describeSuspects(records, predicted->of);
    if (sink)
        QL_CHECK(keepPredictions(*sink, {*predicted}));
    return json;
}

Result<int> run(Console& console, const Options& options)
{
    if (!options.candidates.empty() || !options.plans.empty())
        return runSeveral(console, options);
    QL_TRY(model, openModelFor(console, options.file));
    QL_TRY(other, options.version.open(console, model, console.context()));
    QL_TRY(graph, buildGraph(other ? *other->opened.model : *model));
    const ModelVersion own = other ? other->opened.baseVersion() : ownVersion(*model);
    if (options.cases.isGiven() || !isCausalLanguageModel(graph)) {
        if (!options.study.empty())
            return usageError("--out keeps the scores of language models on text; leave it out here");
        if (options.scoreAll)
            return usageError("--score-all is for language models on text; leave it out here");
        if (options.losses.isGiven())
            return usageError("--losses predicts the KLD of language models on text; leave it out here");
        QL_TRY(document, validateOutputs(console, *model, graph, options.text, options.cases, own,
                                         other ? &other->version : nullptr));
        QL_CHECK(model->checkpoint->checkIntact());
        console.show(document);
        return 0;
    }
    std::optional<GivenLosses> losses;
    if (options.losses.isGiven()) {
        QL_TRY(given, givenLosses(console, options.losses, *other, options.version.runtime));
        losses = std::move(given);
    }
    QL_TRY(windows, options.text.read(console, *model));
    EvaluationTask task{.graph = graph, .windows = windows, .model = own, .onScores = {}, .known = {}};
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
    nlohmann::ordered_json prediction;
    if (other) {
        QL_TRY(made, predictionOf(console, options, task, *other, losses ? &*losses : nullptr,
                                  comparisonOf(scores, windows.count()).kld, study ? study->study.get() : nullptr));
        prediction = std::move(made);
    }
    if (study)
        QL_CHECK(study->study->save(study->document));
    const PerplexityScore own_ = perplexityOf(scores, windows.count());
    nlohmann::ordered_json document{{"windows", own_.windows},
                                    {"context", windows.length},
                                    {"tokens", own_.tokens},
                                    {"perplexity", json(own_.perplexity, "tokens")}};
    if (task.other) {
        const ComparisonScore comparison = comparisonOf(scores, windows.count());
        constexpr const char* kNats = "nats per token";
        document["other"] = {{"perplexity", json(comparison.perplexity, "tokens")},
                             {"ln_ratio", json(comparison.lnRatio, kNats)},
                             {"kld", json(comparison.kld, kNats)},
                             {"kld_median", comparison.medianKld},
                             {"kld_99", comparison.kld99},
                             {"kld_999", comparison.kld999},
                             {"kld_max", comparison.maxKld},
                             {"same_top", json(comparison.sameTop, "share")},
                             {"mean_delta_p", json(comparison.meanDeltaP, "probability")},
                             {"rms_delta_p", json(comparison.rmsDeltaP, "probability")}};
        document["kld_windows"] = comparison.windowKlds;
    }
    if (!prediction.is_null())
        document["prediction"] = std::move(prediction);
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
        app.add_option("--labels", options->cases.labels, "CSV instead of subfolders: file,number")
            ->needs(app.get_option("--images"));
        app.add_option(
            "--out", options->study,
            "study (.qloupe) that keeps the scores as they arrive, so that a run that was stopped continues, and "
            "predicted beside measured");
        auto* const losses = options->losses.declare(app, "which a plan's KLD is predicted by in place of a metric's");
        losses->needs(app.get_option("--plan"));
        for (const char* const other : {"--bias-correction", "--repair"}) // losses are of codes without these
            losses->excludes(app.get_option(other));
        auto* const candidates = app.add_option(
            "--candidates", options->candidates,
            "instead of --plan: candidates, separated by commas, each run on every layer that can be quantized");
        for (const char* const other : {"--plan", "--as", "--kv", "--keep-first-token", "--out"})
            candidates->excludes(app.get_option(other));
        auto* const plans = app.add_option("--plans", options->plans,
                                           "instead of --plan: several plans, each run beside the model, which is run "
                                           "once; of its hidden states a float is held for each token and channel");
        for (const char* const other :
             {"--plan", "--candidates", "--as", "--kv", "--keep-first-token", "--bias-correction", "--repair", "--out"})
            plans->excludes(app.get_option(other));
        app.footer(kFigures);
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
