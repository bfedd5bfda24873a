// SPDX-License-Identifier: GPL-3.0-or-later
// What runs the open model in the background.
#pragma once

#include "views/runs/calibration_run.h"
#include "views/runs/validation_runs.h"

namespace ql::views {

struct Runs {
    Runs(Document& document, JobRunner& jobs) : calibration(document, jobs), validations(document, jobs) {}
    CalibrationRun calibration;
    ValidationRuns validations;
};

} // namespace ql::views
