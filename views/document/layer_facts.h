// SPDX-License-Identifier: GPL-3.0-or-later
// What is known of a layer's weights whatever the plan; filled in by a background job.
#pragma once

#include "core/analysis/statistics.h"

#include <limits>

namespace ql::views {

struct LayerFacts {
    bool known = false;
    TensorStatistics statistics;
    double outlierShare = std::numeric_limits<double>::quiet_NaN(); // beyond 6 standard deviations, 0…1
};

} // namespace ql::views
