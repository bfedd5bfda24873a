// SPDX-License-Identifier: GPL-3.0-or-later
// The budget among the limits of a document.
#pragma once

#include "views/document/document.h"

namespace ql::views {

/// Those that are neither a size of files nor bits per weight.
std::vector<Limit> withoutBudget(const std::vector<Limit>& limits);
/// These with another budget, which comes first.
std::vector<Limit> limitsWith(const std::vector<Limit>& limits, const Budget& budget);

} // namespace ql::views
