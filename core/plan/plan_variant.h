// SPDX-License-Identifier: GPL-3.0-or-later
// Which variant of a model a plan is for, before there is one: a plan's layers and fingerprint are those of the
// variant.
#pragma once

#include "core/base/result.h"

#include <string>
#include <string_view>

namespace ql {

/// The transforms' text; empty for the checkpoint itself. An error where the text is no plan.
Result<std::string> variantOfPlan(std::string_view json);

} // namespace ql
