// SPDX-License-Identifier: GPL-3.0-or-later
// Text that an encoder is validated on.
#pragma once

#include "core/model/evaluation/cases.h"
#include "core/model/evaluation/text_tokens.h"

namespace ql {

/// Windows of the text; where the model has a mask token and a head, 15 % of the tokens are hidden and asked for.
Result<Cases> encoderCases(const graph::Graph& graph, const TextTokens& text, std::int64_t length, std::int64_t limit);

} // namespace ql
