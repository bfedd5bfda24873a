// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/case_options.h"
#include "app/cli/command.h"
#include "app/cli/number_check.h"
#include "app/cli/text_options.h"
#include "app/cli/variant_options.h"
#include "core/base/text.h"
#include "core/model/evaluation/generate.h"
#include "core/model/frontends/frontend.h"
#include "core/realize/repair_file.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::string plan;
    std::string out;
    std::string method = "kld";
    double heldOut = 0.25;
    TextOptions text;
    CaseOptions cases;
    ActivationsOption activations;
    TransformsOption transforms;
};

constexpr const char* kMethods =
    R"(Methods; no byte is added:
  statistics                 norm after norm, each channel of the plan's output gets the scale (and shift) that bring it
                             to the model's on the same inputs: by moments, or by statistics:least_squares
  kld:steps=40:batch=4:rate=0.01:seed=1:tune=norms:check=0
                             scales move down the gradient of the KLD to the model, by Adam: steps of so many windows;
                             rate is a step relative to the scale, with tune=rows and tune=both 0.0005 unless given:
                             factors of rows diverge sooner
    tune=norms               gains of RMSNorm, LayerNorm and BatchNorm, and biases of the latter two, as statistics do
    tune=rows                a factor on the scales of each row of a quantized linear layer outside of the head; codes
                             stay. Schemes without floating-point scales of rows (mxfp4, nvfp4, int8:tensor) are named
    tune=both                all of them together
    check=10                 the first half of what is held out is measured each 10 steps and the scales that were best
                             there are kept; the second half judges the repair
The last windows, or cases, are held out: a repair is written only if it brings them closer to the model by more than
the standard error, else nothing is written and the exit code is 1.
  validate, trace, generate, export and verify take it by --repair. GGUF keeps gains in float32; other files round them
to the type of the checkpoint, and each scheme its scales to their coding; so does the score.)";

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(method, parseRepairMethod(options.method));
    QL_TRY(opened, openVariantFor(console, options.file, options.transforms, options.activations, options.plan));
    const Activations* const known = opened.activations.get();
    QL_TRY(plan, readPlan(options.plan, *opened.model));
    QL_TRY(target, targetOrNull(plan.target));
    const TargetProfile* const profile = target ? &target->profile : nullptr;
    QL_TRY(graph, buildGraph(*opened.model));
    RepairTask task{.model = opened.model,
                    .graph = graph,
                    .own = opened.baseVersion(),
                    .settings = {.plan = &plan, .target = profile, .activations = known},
                    .method = method,
                    .heldOut = options.heldOut};
    Cases cases;
    const bool isText = !options.cases.isGiven() && isCausalLanguageModel(graph);
    if (isText) {
        QL_TRY(windows, options.text.read(console, *opened.base));
        task.windows = std::move(windows);
    } else if (options.cases.isGiven()) {
        QL_TRY(read, options.cases.open(*opened.base, graph, console.context()));
        cases = std::move(read);
        task.cases = &cases;
    } else {
        return usageError("is no language model that continues text: give --inputs or --images", options.file);
    }
    const std::int64_t count = isText ? task.windows.count() : cases.count;
    console.status("repairing on " + std::to_string(count) + (isText ? " windows" : " cases"));
    auto klds = nlohmann::ordered_json::array();
    task.onStep = [&](std::int64_t step, double kld) {
        klds.push_back(kld);
        console.status("step " + std::to_string(step + 1) + " of " + std::to_string(method.tuning.steps) + ": KLD " +
                       formatSignificant(kld, 4));
    };
    QL_TRY(repair, findRepair(task, console.context()));
    QL_CHECK(opened.base->checkpoint->checkIntact());
    console.warn(repair.notes);
    const HeldOutScore& score = repair.heldOut;
    const bool isKept = score.isBetter();
    if (isKept) {
        const std::string inputs =
            (isText ? options.text.name() : options.cases.name()) + ", " + std::to_string(count - score.cases) +
            (isText ? " windows of " + std::to_string(task.windows.length) + " tokens" : " cases");
        QL_CHECK(writeRepair(repair, *opened.model,
                             {.plan = planIdentity(*opened.model, plan, profile, known),
                              .method = printRepairMethod(method),
                              .inputs = inputs},
                             options.out));
    } else {
        console.warn(std::vector<Warning>{{{},
                                           "what was held out did not come closer to the model by more than the "
                                           "standard error: no repair was written"}});
    }
    std::int64_t values = 0;
    for (const RepairedTensor& tensor : repair.tensors)
        values += std::ssize(tensor.values);
    std::int64_t rows = 0;
    for (const RepairedTensor& factors : repair.rowFactors)
        rows += std::ssize(factors.values);
    nlohmann::ordered_json document{{"path", isKept ? nlohmann::ordered_json(options.out) : nlohmann::ordered_json()},
                                    {"kept", isKept},
                                    {"method", printRepairMethod(method)},
                                    {"tensors", repair.tensors.size()},
                                    {"values", values},
                                    {"scaled_layers", repair.rowFactors.size()},
                                    {"scaled_rows", rows},
                                    {isText ? "windows" : "cases", count - score.cases}};
    if (!klds.empty())
        document["step_kld"] = std::move(klds);
    if (!repair.checks.empty()) {
        auto& checks = document["checks"] = nlohmann::ordered_json::array();
        for (const TuningCheck& check : repair.checks)
            checks.push_back({{"steps", check.steps}, {"kld", check.kld}});
        document["kept_steps"] = repair.keptSteps;
    }
    document["held_out"] = {{isText ? "windows" : "cases", score.cases},
                            {"measure", score.isKld ? "kld, nats per token" : "minus SQNR, dB"},
                            {"before", numberOrNull(score.before)},
                            {"after", numberOrNull(score.after)},
                            {"change", numberOrNull(score.after - score.before)},
                            {"error", numberOrNull(score.error)}};
    console.show(document);
    return isKept ? 0 : 1;
}

} // namespace

extern const Command repair_;
const Command repair_{"repair",
                      "find gains of norms, and factors on scales of rows, that take back what a plan does to the "
                      "model, from text, arrays "
                      "or pictures; they cost no bytes",
                      [](CLI::App& app) -> CommandRun {
                          const auto options = std::make_shared<Options>();
                          app.add_option("FILE", options->file, "checkpoint file or folder")->required();
                          app.add_option("--plan", options->plan, "plan (JSON) that the repair is for")->required();
                          options->text.declare(app);
                          options->cases.declare(app);
                          app.add_option("--method", options->method, "how, see below")->capture_default_str();
                          app.add_option("--held-out", options->heldOut,
                                         "share of the windows, or cases, that judge the repair")
                              ->capture_default_str()
                              ->check(CLI::Range(0.0, 0.9));
                          app.add_option("--out", options->out, "file (.npz) to write")->required();
                          options->activations.declare(app);
                          options->transforms.declare(app);
                          app.footer(kMethods);
                          return [options](Console& console) { return run(console, *options); };
                      }};

} // namespace ql::cli::commands
