// SPDX-License-Identifier: GPL-3.0-or-later
// The cost table of one plan: each layer measured with the candidate it has there and no other.
#pragma once

#include "core/sensitivity/metric.h"

namespace ql {

struct PlanTableRequest {
    const Plan& plan;
    const Metric& metric;
    const TargetProfile* target = nullptr;
    const Activations* activations = nullptr;
    ResultSink* sink = nullptr;
};

/// Columns are the plan's candidates; what the plan does not use is unmeasured.
Result<CostTable> measurePlan(const Model& model, const PlanTableRequest& request, const JobContext& context);

} // namespace ql
