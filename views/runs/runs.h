// SPDX-License-Identifier: GPL-3.0-or-later
// What runs the open model in the background.
#pragma once

#include "views/runs/calibration_run.h"
#include "views/runs/limit_check.h"
#include "views/runs/loss_run.h"
#include "views/runs/predictions.h"
#include "views/runs/validation_runs.h"

namespace ql::views {

struct Runs {
    Runs(Document& document, JobRunner& jobs)
        : calibration(document, jobs),
          limits(document, jobs),
          losses(document, jobs),
          predictions(document, jobs),
          validations(document, jobs, predictions)
    {}
    CalibrationRun calibration;
    LimitCheck limits;
    LossRun losses;
    Predictions predictions;
    ValidationRuns validations;
};

} // namespace ql::views
