// SPDX-License-Identifier: GPL-3.0-or-later
// What a file costs a variant or a repaired model beside its codes: weights that were computed and a plan keeps are
// rounded once, to the type the checkpoint stores them in.
#pragma once

#include "core/plan/target.h"

namespace ql {

/// Over all tensors that the plan keeps; exact where nothing was computed.
Result<ErrorStats> keptRounding(const Model& model, const Plan& plan, const TargetProfile& target,
                                const JobContext& context);

} // namespace ql
