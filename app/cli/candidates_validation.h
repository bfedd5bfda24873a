// SPDX-License-Identifier: GPL-3.0-or-later
// Candidates side by side on the whole model: each on every layer that can be quantized, run beside the model itself.
#pragma once

#include "app/cli/console.h"
#include "core/calibration/activations.h"
#include "core/model/evaluation/evaluate.h"
#include "core/plan/plan.h"

#include <nlohmann/json_fwd.hpp>

namespace ql::cli {

/// One row per candidate: bits per weight, perplexity, KLD, same top, and on how many layers (embeddings that are no
/// output head, say) mse stood in for a quantizer that needs inputs where none are known. `task` has no other version
/// yet.
Result<nlohmann::ordered_json> validateCandidates(Console& console, const Model& model,
                                                  const std::vector<Candidate>& candidates,
                                                  const Activations* activations, EvaluationTask task);

} // namespace ql::cli
