// SPDX-License-Identifier: GPL-3.0-or-later
// What a file costs a variant beside its codes: weights that a transform computed and a plan keeps are rounded once, to
// the type the checkpoint stores them in.
#pragma once

#include "core/plan/target.h"

namespace ql {

/// Over all tensors that the plan keeps; exact where there is no transform.
Result<ErrorStats> keptRounding(const Model& model, const Plan& plan, const TargetProfile& target,
                                const JobContext& context);

} // namespace ql
