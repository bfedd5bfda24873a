// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/repair_option.h"
#include "app/cli/variant_options.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string path;
    std::string against;
    ActivationsOption activations;
    bool biasCorrection = false;
    std::string repair;
};

struct Embedded {
    const Target* target = nullptr;
    std::string plan;
};

/// Of the first target that finds one; what else is wrong with the file verifyExport() says.
Embedded embeddedPlan(const std::string& path)
{
    for (const Target* target : allTargets())
        if (const auto plan = target->embeddedPlan(path))
            return {target, *plan};
    return {};
}

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(base, openModelFor(console, options.against));
    const Embedded embedded = embeddedPlan(options.path);
    QL_TRY(opened, openVariant(console, base, {}, options.activations, embedded.plan));
    std::shared_ptr<const Model> model = opened.model;
    if ((options.biasCorrection || !options.repair.empty()) && embedded.target) {
        QL_TRY(parsed, parsePlan(embedded.plan, *model));
        QL_TRY(plan, admit(embedded.target->profile, *model, parsed));
        const TargetProfile* const target = &embedded.target->profile;
        const Activations* const known = opened.activations.get();
        if (!options.repair.empty()) {
            QL_TRY(repaired, withRepair(console, model, plan, target, known, options.repair));
            model = repaired.model;
        }
        if (options.biasCorrection) {
            QL_TRY(corrected, withCorrectedBiases(console, model, plan, target, known, console.context()));
            model = std::move(corrected);
        }
    }
    console.status("verifying " + options.path);
    QL_TRY(report, verifyExport(*model, options.path, opened.activations.get(), console.context()));
    auto failed = nlohmann::ordered_json::array();
    std::int64_t elements = 0;
    for (const VerifiedTensor& tensor : report.tensors) {
        elements += tensor.elements;
        if (!tensor.ok())
            failed.push_back({{"name", tensor.name},
                              {"candidate", tensor.candidate},
                              {"elements", tensor.elements},
                              {"differing", tensor.differing},
                              {"max_abs_difference", numberOrNull(tensor.maxAbsDifference)},
                              {"problem", tensor.problem}});
    }
    console.show({{"path", options.path},
                  {"ok", report.ok()},
                  {"tensors", report.tensors.size()},
                  {"elements", elements},
                  {"problems", report.problems},
                  {"failed", std::move(failed)}});
    return report.ok() ? 0 : 1;
}

} // namespace

extern const Command verify_;
const Command verify_{"verify", "read an exported model back and compare every tensor, bit for bit, with its plan",
                      [](CLI::App& app) -> CommandRun {
                          const auto options = std::make_shared<Options>();
                          app.add_option("PATH", options->path, "exported file or folder")->required();
                          app.add_option("--against", options->against, "the checkpoint it was made from")->required();
                          options->activations.declare(app);
                          app.add_flag("--bias-correction", options->biasCorrection,
                                       "the export was given it: compare with corrected biases");
                          app.add_option("--repair", options->repair,
                                         "the export was given this repair: compare with its gains");
                          return [options](Console& console) { return run(console, *options); };
                      }};

} // namespace ql::cli::commands
