// SPDX-License-Identifier: GPL-3.0-or-later
// From a plan to codes, in one place: prediction, preview, export and verify all take them from here, so the same plan
// gives the same codes everywhere.
#pragma once

#include "core/calibration/activations.h"
#include "core/plan/plan.h"

namespace ql {

/// Codes of one layer under a (complete) candidate; ue4m3 scales share their factor with the layers that runtimes fuse
/// with this one; rows are multiplied by the model's factors (changed_tensors.h). Not for keep.
Result<QuantizedTensor> realize(const Model& model, std::int64_t layer, const Candidate& candidate,
                                const Activations* activations, const JobContext& context);
/// The same before rows are multiplied: what models that differ in factors alone share.
Result<QuantizedTensor> realizeUnscaled(const Model& model, std::int64_t layer, const Candidate& candidate,
                                        const Activations* activations, const JobContext& context);
/// Those codes, multiplied by the model's factors of the layer, which has some.
Result<QuantizedTensor> scaledRows(const Model& model, std::int64_t layer, const QuantizedTensor& codes,
                                   const JobContext& context);
/// The largest magnitude in the layers that share a tensor's scale with this one (core/model/fused_layers.h), as the
/// candidate is coded; 0 where nothing is shared.
Result<float> sharedAbsMax(const Model& model, std::int64_t layer, const Candidate& candidate,
                           const JobContext& context);
/// The same from weights already loaded (or rewritten, e.g. permuted for GGUF).
Result<QuantizedTensor> realize(const TensorView& weights, const Candidate& candidate,
                                const ActivationStatistics* activations, const JobContext& context,
                                QuantizerReport* report = nullptr, float sharedAbsMax = 0);

} // namespace ql
