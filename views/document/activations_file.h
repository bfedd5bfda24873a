// SPDX-License-Identifier: GPL-3.0-or-later
// A file that says what layers see: captured activations, an importance matrix, or a calibrated study of the model.
#pragma once

#include "core/calibration/activations.h"
#include "core/study/study.h"

#include <QString>

namespace ql::views {

bool isStudy(const std::filesystem::path& path);
/// What a file dialog offers of them.
QString activationsFilter();

/// The study at the path; other than openStudy() none is made.
Result<std::shared_ptr<Study>> openOtherStudy(const std::filesystem::path& path);

/// Errors: what openActivations() says; a study of another checkpoint, or without a calibration.
Result<std::shared_ptr<const Activations>> activationsIn(const std::filesystem::path& path, const Model& model,
                                                         const JobContext& context);

} // namespace ql::views
