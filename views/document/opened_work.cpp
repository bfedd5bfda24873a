// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/document/opened_work.h"

#include "core/calibration/calibrated_activations.h"
#include "core/plan/plan_variant.h"
#include "views/document/activations_file.h"

namespace ql::views {

namespace {

/// Makes the variant that the study's plan is for.
Result<void> openPlan(OpenedWork& work, const JobContext& context)
{
    const std::string& json = work.document.planJson;
    QL_TRY(text, variantOfPlan(json));
    if (!text.empty()) {
        QL_TRY(specs, parseTransforms(text));
        auto made = makeVariant(work.model, specs, work.activations, context);
        if (!made) {
            // What is missing are most likely the activations that could not be opened.
            const std::string cause = work.warnings.empty() ? "" : "; " + work.warnings.back().what;
            return Error{made.error().code,
                         "its plan is for the variant " + text + ", which cannot be made: " + describe(made.error()) +
                             cause,
                         work.study->path().string()};
        }
        work.warnings.insert(work.warnings.end(), made->notes.begin(), made->notes.end());
        work.variant = std::make_shared<const Variant>(std::move(*made));
    }
    const Model& model = work.variant ? *work.variant->model : *work.model;
    auto plan = parsePlan(json, model);
    if (!plan && work.variant && work.document.fingerprint == work.model->checkpoint->fingerprint()) {
        QL_TRY(same, parsePlan(json, model, true));
        plan = std::move(same);
        work.warnings.push_back({text, "is made with other activations than when the study was saved, so its weights "
                                       "may differ from those the plan was found for"});
    }
    if (!plan)
        return plan.error();
    work.plan = std::move(*plan);
    return {};
}

} // namespace

Result<OpenedWork> openWork(const std::filesystem::path& path, const JobContext& context)
{
    OpenedWork work;
    std::filesystem::path checkpoint = path;
    if (isStudy(path)) {
        std::error_code error;
        if (!std::filesystem::exists(path, error)) // openStudy() would create it
            return ioError("no such study", path.string());
        QL_TRY(study, openStudy(path, work.warnings));
        work.study = study;
        work.document = study->document();
        checkpoint = work.document.checkpoint;
        if (checkpoint.is_relative())
            checkpoint = path.parent_path() / checkpoint;
    }
    QL_TRY(model, openModel(checkpoint, context));
    work.model = std::move(model);
    const auto notes = work.model->checkpoint->warnings();
    work.warnings.insert(work.warnings.end(), notes.begin(), notes.end());
    if (!work.study)
        return work;
    if (work.document.activations.empty()) {
        work.activations = calibratedActivations(work.study, findCalibration(*work.study, *work.model), {});
    } else {
        std::filesystem::path file = work.document.activations;
        if (file.is_relative())
            file = path.parent_path() / file;
        auto activations = activationsIn(file, *work.model, context);
        if (activations)
            work.activations = std::move(*activations);
        else // the study is still useful without them
            work.warnings.push_back({activations.error().where, activations.error().what});
    }
    if (!work.document.planJson.empty())
        QL_CHECK(openPlan(work, context));
    return work;
}

} // namespace ql::views
