// SPDX-License-Identifier: GPL-3.0-or-later
// Coding W column by column with error feedback (error_feedback.h): tiles of rows, each by itself, their columns turned
// so that they lie one after the other. Scales are chosen when the sweep reaches a group, from the weights as the
// feedback has left them; or before it, from the weights themselves. Equal bits for any thread count on one CPU.
#pragma once

#include "core/quantizers/error_feedback.h"
#include "core/quantizers/quantizer.h"

namespace ql {

/// How a run's scale is chosen: by the rule, by least squared error, by least Σ D_j·(w − ŵ)².
enum class ScaleChoice { range, mse, weighted };

struct SweepSettings {
    ScaleChoice scales = ScaleChoice::weighted;
    std::int64_t steps = 32;  // scales tried
    bool staticGroups = true; // choose all scales before the sweep
};

/// Objectives tr(ΔW·(H − λI)·ΔWᵀ), all in the units of XᵀX.
struct SweepResult {
    double reached = 0;
    double rtn = 0; // where the task wants no report only a lower bound, once it is clear that less was reached
    bool withOutputs = false; // tr(S·ΔW·H·ΔWᵀ) instead, S the outputs' (row_feedback.h)
};

/// Codes rows [firstRow, lastRow) of the task's weights into `out`, which holds rtn's result (what SweepResult::rtn is
/// of): its codes and scales are replaced, those of tensors with one scale are kept. The scheme has scales.
Result<SweepResult> sweep(const QuantizeTask& task, const ErrorFeedback& feedback, const SweepSettings& settings,
                          std::int64_t firstRow, std::int64_t lastRow, QuantizedTensor& out, const JobContext& context);

} // namespace ql
