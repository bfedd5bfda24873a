// SPDX-License-Identifier: GPL-3.0-or-later
// Which input columns a scheme with +cols<n> keeps: those with the largest |x| where ranges of the inputs are known, by
// falling rms·‖w‖ of the column where only their squares are, else by falling ‖w‖. With :over<α> only columns where
// |x| ≥ α, as LLM.int8() has it (Dettmers et al., NeurIPS 2022, section 3.2). Ties: the lower index.
#pragma once

#include "core/calibration/activations.h"
#include "core/formats/additions.h"
#include "core/jobs/job_context.h"
#include "core/tensor/tensor_view.h"

namespace ql {

/// Of W, seen as a matrix; ascending, at most as many as there are slots. Inputs may be null; an error of kind refused
/// where :over asks for ranges that are not known. Equal bits for any thread count.
Result<std::vector<std::int32_t>> keptColumns(const TensorView& weights, const Additions& additions,
                                              const ActivationStatistics* inputs, const JobContext& context);

/// What GPTQ and its like may know where those columns have no error: gram with their rows and columns 0.
ActivationStatistics withoutColumns(const ActivationStatistics& inputs, std::span<const std::int32_t> columns);

} // namespace ql
