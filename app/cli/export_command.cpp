// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/repair_option.h"
#include "app/cli/variant_options.h"
#include "core/plan/plan_inputs.h"
#include "core/realize/kept_rounding.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::string plan;
    std::string target;
    std::string out;
    ActivationsOption activations;
    TransformsOption transforms;
    bool biasCorrection = false;
    std::string repair;
};

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(opened, openVariantFor(console, options.file, options.transforms, options.activations, options.plan));
    const auto& [base, uncorrected, activations, variant] = opened;
    QL_TRY(read, readPlan(options.plan, *uncorrected));
    if (const auto same = checkActivations(read, activations.get()); !same && !read.activations.empty())
        return Error{same.error().code, same.error().what, options.plan};
    QL_TRY(target, findTarget(options.target.empty() ? read.target : options.target));
    QL_TRY(plan, admit(target->profile, *uncorrected, read));
    std::shared_ptr<const Model> model = uncorrected;
    if (!options.repair.empty()) {
        QL_TRY(repaired, withRepair(console, model, plan, &target->profile, activations.get(), options.repair));
        model = repaired.model;
    }
    if (options.biasCorrection) {
        QL_TRY(corrected,
               withCorrectedBiases(console, model, plan, &target->profile, activations.get(), console.context()));
        model = std::move(corrected);
    }
    QL_TRY(predicted, target->profile.fileBytes(*model, plan));
    console.status("writing " + options.out);
    QL_TRY(files, exportPlan(*target, {*model, plan, activations.get()}, options.out, console.context()));
    std::int64_t bytes = 0;
    auto rows = nlohmann::ordered_json::array();
    for (const WrittenFile& file : files) {
        bytes += file.sizeBytes;
        rows.push_back({{"file", file.name.empty() ? options.out : file.name}, {"bytes", file.sizeBytes}});
    }
    nlohmann::ordered_json document{
        {"path", options.out}, {"target", target->profile.id}, {"bytes", bytes}, {"predicted_bytes", predicted}};
    if (variant || !options.repair.empty()) {
        QL_TRY(rounding, keptRounding(*model, plan, target->profile, console.context()));
        if (variant)
            document["variant"] = plan.variant;
        document["kept_rounding"] = {{"sqnr_db", numberOrNull(rounding.sqnrDb())},
                                     {"max_abs_error", rounding.maxAbsError}};
    }
    document["files"] = std::move(rows);
    console.show(document);
    return 0;
}

} // namespace

extern const Command export_;
const Command export_{
    "export", "write the quantized model of a plan in a format that runtimes load", [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        app.add_option("--plan", options->plan, "plan (JSON), as written by solve")->required();
        app.add_option("--target", options->target, "target (qloupe list targets); default: the plan's");
        app.add_option("--out", options->out, "file or folder to write")->required();
        app.add_flag("--bias-correction", options->biasCorrection, kBiasCorrectionHelp);
        app.add_option("--repair", options->repair, kRepairHelp);
        options->activations.declare(app);
        options->transforms.declare(app);
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
