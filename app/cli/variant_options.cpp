// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/variant_options.h"

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/checkpoint/reader.h"
#include "core/model/frontends/frontend.h"
#include "core/plan/plan_variant.h"
#include "core/realize/bias_correction.h"

#include <CLI/CLI.hpp>

namespace ql::cli {

void TransformsOption::declare(CLI::App& app)
{
    app.add_option("--transform", texts,
                   "rewrites the model exactly before it is quantized (qloupe list transforms), e.g. "
                   "smooth:alpha=0.5 or hadamard; may be repeated, the order counts");
}

std::string TransformsOption::text() const
{
    return join(texts, "+");
}

Result<OpenedVariant> openVariant(Console& console, std::shared_ptr<const Model> base,
                                  const TransformsOption& transforms, const ActivationsOption& activations,
                                  const std::string& planText)
{
    OpenedVariant opened{.base = base, .model = base, .activations = {}, .variant = {}};
    QL_TRY(specs, parseTransforms(transforms.text()));
    if (!planText.empty()) {
        QL_TRY(text, variantOfPlan(planText));
        QL_TRY(ofPlan, parseTransforms(text));
        if (!specs.empty() && specs != ofPlan)
            return usageError("the plan is for " +
                              (text.empty() ? "the model without transforms" : "--transform " + text) +
                              ", and --transform says " + printTransforms(specs) + "; leave it out");
        specs = std::move(ofPlan);
    }
    QL_TRY(known, activations.open(console, *base));
    opened.activations = std::move(known);
    if (specs.empty())
        return opened;
    console.status("transforming by " + printTransforms(specs));
    QL_TRY(variant, makeVariant(base, specs, opened.activations, console.context()));
    console.warn(variant.notes);
    opened.model = variant.model;
    opened.activations = variant.activations;
    opened.variant = std::move(variant);
    return opened;
}

Result<OpenedVariant> openVariantFor(Console& console, const std::string& file, const TransformsOption& transforms,
                                     const ActivationsOption& activations, const std::string& plan)
{
    QL_TRY(base, openModelFor(console, file));
    std::string text;
    if (!plan.empty()) {
        QL_TRY(read, readTextFile(plan, std::int64_t{256} << 20));
        text = std::move(read);
    }
    return openVariant(console, std::move(base), transforms, activations, text);
}

Result<std::shared_ptr<const Model>> withCorrectedBiases(Console& console, const std::shared_ptr<const Model>& model,
                                                         const Plan& plan, const TargetProfile* target,
                                                         const Activations* activations, const JobContext& context)
{
    if (!activations)
        return usageError("--bias-correction needs the means of the layers' inputs: add --activations, a study made by "
                          "qloupe calibrate, or captured X");
    QL_TRY(graph, buildGraph(*model));
    console.status("correcting biases");
    QL_TRY(done, correctBiases(model, graph, plan, target, *activations, context));
    console.warn(done.notes);
    if (done.corrected.empty())
        console.warn(std::vector<Warning>{{{}, "no layer of the plan has a stored bias: nothing was corrected"}});
    return done.model;
}

Result<std::shared_ptr<const Checkpoint>> openCheckpointFor(Console& console, const std::string& file,
                                                            const TransformsOption& transforms,
                                                            const ActivationsOption& activations)
{
    if (!transforms.texts.empty()) {
        QL_TRY(opened, openVariantFor(console, file, transforms, activations));
        return opened.model->checkpoint;
    }
    QL_TRY(checkpoint, openCheckpoint(file, console.context()));
    console.warn(checkpoint->warnings());
    return checkpoint;
}

} // namespace ql::cli
