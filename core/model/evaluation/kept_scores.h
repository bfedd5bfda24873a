// SPDX-License-Identifier: GPL-3.0-or-later
// An evaluation whose scores are kept as they arrive: stopped or killed, it goes on behind the last group of windows
// and gives equal numbers.
#pragma once

#include "core/jobs/result_sink.h"
#include "core/model/evaluation/evaluate.h"

namespace ql {

/// evaluate(), with `known` taken from the sink. `versions` names model and other version with all that makes them what
/// they are (fingerprints, plan, …): with the windows and what of them is scored it is the key.
Result<std::vector<TokenScore>> evaluateKept(EvaluationTask task, std::string_view versions, ResultSink& sink,
                                             const JobContext& context);

} // namespace ql
