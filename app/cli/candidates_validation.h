// SPDX-License-Identifier: GPL-3.0-or-later
// Candidates side by side on the whole model, each on every layer that can be quantized, and plans side by side: each
// run beside the model itself.
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

/// One row per file of a plan: the same figures, and the KLD of each window. The model is run once, what then enters
/// its head is held (a float for each token and channel), and plans share codes up to 1 GiB.
Result<nlohmann::ordered_json> validatePlans(Console& console, const Model& model,
                                             const std::vector<std::string>& files, const Activations* activations,
                                             EvaluationTask task);

} // namespace ql::cli
