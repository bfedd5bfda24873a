// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/version_options.h"

#include "app/cli/repair_option.h"
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/checkpoint/stored_type.h"
#include "core/formats/keys_values.h"
#include "core/realize/planned_version.h"

#include <CLI/CLI.hpp>

namespace ql::cli {

void VersionOptions::declare(CLI::App& app)
{
    app.add_option("--plan", plan, "plan to run beside the model, with its activation schemes");
    app.add_option("--as", runtime, "round activations in the other version as this runtime does, e.g. llama.cpp");
    app.add_option("--kv", keysValues,
                   "scheme of keys and values in the other version: q8_0, q4_0, int8:token, int4:g64, fp8_e4m3, …");
    app.add_flag("--keep-first-token", keepFirstToken,
                 "activation schemes leave the first token of each text (BOS) as it is");
    app.add_flag("--bias-correction", biasCorrection, kBiasCorrectionHelp);
    app.add_option("--repair", repair, kRepairHelp);
    transforms.declare(app);
    activations.declare(app);
}

Result<std::unique_ptr<OtherVersion>> VersionOptions::open(Console& console, const std::shared_ptr<const Model>& model,
                                                           const JobContext& context) const
{
    const bool isTransformed = !transforms.texts.empty();
    if (plan.empty() &&
        (keepFirstToken || biasCorrection || !repair.empty() || (!isTransformed && !activations.path.empty())))
        return usageError(std::string(keepFirstToken    ? "--keep-first-token"
                                      : biasCorrection  ? "--bias-correction"
                                      : !repair.empty() ? "--repair"
                                                        : "--activations") +
                          " says how a plan is run: add --plan, or leave it out");
    if (plan.empty() && !isTransformed && runtime.empty() && keysValues.empty())
        return std::unique_ptr<OtherVersion>();
    auto other = std::make_unique<OtherVersion>();
    std::string planText;
    if (!plan.empty()) {
        QL_TRY(text, readTextFile(plan, std::int64_t{256} << 20));
        planText = std::move(text);
    }
    QL_TRY(opened, openVariant(console, model, transforms, activations, planText));
    other->opened = std::move(opened);
    const std::shared_ptr<const Model> uncorrected = other->opened.model;
    std::string repairFingerprint;
    const Model& ran = *uncorrected;
    const Activations* const known = other->opened.activations.get();
    std::vector<std::string> titles;
    VersionSettings settings{.activations = known, .keepFirstToken = keepFirstToken};
    if (const std::string variant = variantOf(*ran.checkpoint); !variant.empty())
        titles.push_back(variant);
    if (!plan.empty()) {
        QL_TRY(read, readPlan(plan, ran));
        other->plan = std::move(read);
        QL_TRY(target, targetOrNull(other->plan->target));
        settings.plan = &*other->plan;
        settings.target = target ? &target->profile : nullptr;
        titles.emplace_back("plan");
        if (!repair.empty()) {
            QL_TRY(repaired, withRepair(console, other->opened.model, *other->plan, settings.target, known, repair));
            other->opened.model = repaired.model;
            repairFingerprint = repaired.fingerprint;
            titles.emplace_back("repaired");
        }
        if (biasCorrection) {
            QL_TRY(corrected,
                   withCorrectedBiases(console, other->opened.model, *other->plan, settings.target, known, context));
            other->opened.model = std::move(corrected);
            titles.emplace_back("biases corrected");
        }
    }
    if (!runtime.empty()) {
        QL_TRY(found, findRuntime(runtime));
        settings.runtime = found;
        titles.push_back(runtime);
    }
    if (!keysValues.empty()) {
        QL_TRY(scheme, parseKeysValues(keysValues));
        settings.keysValues = std::move(scheme);
        titles.push_back("kv " + keysValues);
    }
    other->title = join(titles, ", ");
    other->identity = other->title + (keepFirstToken ? "\nfirst token kept" : "") +
                      (other->opened.variant ? "\n" + ran.checkpoint->fingerprint() : "") +
                      (other->plan ? "\n" + printPlan(*other->plan, ran) : "") +
                      (known ? "\n" + known->fingerprint() : "") + (repair.empty() ? "" : "\n" + repairFingerprint);
    QL_TRY(version, plannedVersion(*other->opened.model, settings, context));
    other->version = std::move(version);
    return other;
}

} // namespace ql::cli
