// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/measuring_options.h"

#include "core/model/evaluation/generate.h"
#include "core/model/frontends/frontend.h"

namespace ql::cli {

PlanMeasurer OpenedMeasuring::measurer(const JobContext& context) const
{
    return PlanMeasurer({.opened = opened,
                         .graph = graph,
                         .windows = windows,
                         .text = text,
                         .target = target ? &target->profile : nullptr,
                         .runtime = runtime,
                         .sink = *study.study},
                        context);
}

Result<void> OpenedMeasuring::keep(std::vector<PredictionRecord> records) const
{
    QL_CHECK(opened.base->checkpoint->checkIntact());
    QL_CHECK(keepPredictions(*study.study, std::move(records)));
    return study.study->save(study.document);
}

void MeasuringOptions::declare(CLI::App& app, const std::string& studyOption)
{
    text.windows = 4;
    app.add_option("FILE", file, "checkpoint file or folder")->required();
    text.declare(app);
    activations.declare(app);
    transforms.declare(app);
    app.add_option("--target", target, "target that completes and refuses candidates, and ties layers");
    app.add_option("--as", runtime,
                   "measure with activations rounded as this runtime does, e.g. llama.cpp; the floor is what that "
                   "costs alone, run once for plans that round alike");
    app.add_option(studyOption, study,
                   "study (.qloupe) that keeps each plan as it is measured: a run that was stopped continues, and "
                   "validate and solve predict from them")
        ->required();
}

Result<std::unique_ptr<OpenedMeasuring>> MeasuringOptions::open(Console& console) const
{
    QL_TRY(opened, openVariantFor(console, file, transforms, activations));
    QL_TRY(graph, buildGraph(*opened.model));
    if (!isCausalLanguageModel(graph))
        return usageError("plans are measured by their KLD on text, which takes a causal language model", file);
    QL_TRY(its, targetOrNull(target));
    QL_TRY(rounding, runtimeOrNull(runtime));
    QL_TRY(windows, text.read(console, *opened.base));
    QL_TRY(kept, openStudyFor(console, study, *opened.base, file));
    QL_CHECK(kept.study->save(kept.document)); // a study that was never saved is not found again
    return std::make_unique<OpenedMeasuring>(OpenedMeasuring{.opened = std::move(opened),
                                                             .graph = std::move(graph),
                                                             .target = its,
                                                             .runtime = rounding,
                                                             .windows = std::move(windows),
                                                             .text = text.name(),
                                                             .study = std::move(kept)});
}

} // namespace ql::cli
