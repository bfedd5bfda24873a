// SPDX-License-Identifier: GPL-3.0-or-later
// What a validation computes in its job: a causal language model's windows are scored token by token, the outputs of
// any other model compared case by case.
#pragma once

#include "core/model/evaluation/version.h"
#include "views/jobs/job_mailbox.h"
#include "views/runs/prepared_source.h"
#include "views/runs/validation_record.h"

namespace ql::views {

/// Runs two versions of the source's model on its graph, the model as it is stored and another; puts what is known into
/// the mailbox as it grows.
Result<void> runValidation(const PreparedSource& source, const Portion& portion, const ModelVersion& model,
                           const ModelVersion& other, JobMailbox<ValidationStep>& steps, const JobContext& context);

} // namespace ql::views
