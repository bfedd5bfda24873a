// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/calibration/expert_coverage.h"

#include <nlohmann/json_fwd.hpp>

namespace ql::cli {

/// A row for each expert: block, expert, tokens, share of the tokens that its router had.
nlohmann::ordered_json coverageRows(const std::vector<ExpertCoverage>& coverage);

} // namespace ql::cli
