// SPDX-License-Identifier: GPL-3.0-or-later
// What a validation computes in its job: a causal language model's windows are scored token by token, the outputs of
// any other model compared case by case.
#pragma once

#include "core/model/evaluation/version.h"
#include "core/plan/prediction_records.h"
#include "core/realize/runtime_activations.h"
#include "views/jobs/job_mailbox.h"
#include "views/runs/prepared_source.h"
#include "views/runs/validation_record.h"

namespace ql::views {

/// Runs two versions of the source's model on its graph, the model as it is stored and another; puts what is known into
/// the mailbox as it grows. What was found in the end, of a causal language model.
Result<std::optional<ValidationPoint>> runValidation(const PreparedSource& source, const Portion& portion,
                                                     const ModelVersion& model, const ModelVersion& other,
                                                     JobMailbox<ValidationStep>& steps, const JobContext& context);

/// A validation of a causal language model that is through.
struct MeasuredValidation {
    const PreparedSource& source;
    const Portion& portion;
    const Plan& plan;
    const TargetProfile* target = nullptr;
    const Activations* activations = nullptr;
    const Runtime* runtime = nullptr;
    const ModelVersion& model;
    const ModelVersion& other; // by the plan and the runtime
    const ValidationPoint& measured;
    const CostTable* losses = nullptr; // in place of the best metric's
    std::string lossesName = {};       // as records say it
};

/// What the plan is predicted at without itself, and what was measured; nothing where nothing predicts KLD. The floor
/// is that of the records of the same runtime and text; where there is none the rounding of activations is run alone.
Result<std::optional<PredictionRecord>> predictedAndMeasured(const MeasuredValidation& validation,
                                                             std::span<const PredictionRecord> records,
                                                             ResultSink* sink, const JobContext& context);

} // namespace ql::views
