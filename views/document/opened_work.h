// SPDX-License-Identifier: GPL-3.0-or-later
// What opening a checkpoint or a study brings, the variant that the study's plan is for included. A job's work.
#pragma once

#include "core/plan/plan.h"
#include "core/study/study.h"
#include "core/transforms/variant.h"

#include <optional>

namespace ql::views {

struct OpenedWork {
    std::shared_ptr<const Model> model; // as stored
    std::shared_ptr<const Activations> activations;
    std::shared_ptr<Study> study;
    StudyDocument document;
    std::optional<Plan> plan;
    std::shared_ptr<const Variant> variant; // that the plan is for
    std::vector<Warning> warnings;
};

Result<OpenedWork> openWork(const std::filesystem::path& path, const JobContext& context);

} // namespace ql::views
