// SPDX-License-Identifier: GPL-3.0-or-later
// From a plan to codes, in one place: prediction, preview, export and verify all take them from here, so the same plan
// gives the same codes everywhere.
#pragma once

#include "core/calibration/activations.h"
#include "core/plan/plan.h"

namespace ql {

/// Codes of one layer under a (complete) candidate. Not for keep.
Result<QuantizedTensor> realize(const Model& model, std::int64_t layer, const Candidate& candidate,
                                const Activations* activations, const JobContext& context);
/// The same from weights already loaded (or rewritten, e.g. permuted for GGUF).
Result<QuantizedTensor> realize(const TensorView& weights, const Candidate& candidate,
                                const ActivationStatistics* activations, const JobContext& context,
                                QuantizerReport* report = nullptr);

} // namespace ql
