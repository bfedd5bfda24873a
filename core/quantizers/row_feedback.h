// SPDX-License-Identifier: GPL-3.0-or-later
// Coding the rows of W one group after the other, each making up for the errors of those before it. With S what the
// loss feels of the outputs (core/calibration/layer_loss_gram.h), to second order a change moves the model by
// ½·tr(S·ΔW·H·ΔWᵀ) up to a factor. With the rows in the order of processing and damping λ,
//   S + λI = (I + A)·B·(I + A)ᵀ,   A strictly upper triangular, B diagonal,
//   tr(S·ΔW·H·ΔWᵀ) = Σ_r B_r·(Δ_r + Σ_{k<r} A_kr·Δ_k)·H·(Δ_r + Σ_{k<r} A_kr·Δ_k)ᵀ,
// so row r is coded as w_r + Σ_{k<r} A_kr·Δ_k by itself, by whatever lowers δ·H·δᵀ of one row. Rows go in groups of 16
// to 64: A and B are of blocks, a group makes up together for the rows before it, and what its own rows could do for
// each other is left out. Source: Tseng, Sun, De Sa, Model-Preserving Adaptive Rounding (YAQA), 2025, section 4 (there
// both sides at once).
#pragma once

#include "core/quantizers/hessian_quantizer.h"

namespace ql {

/// Codes rows [first, last) of a task's weights into `out`, which holds rtn's.
using RowCoder = std::function<Result<SweepResult>(const QuantizeTask& task, std::int64_t first, std::int64_t last,
                                                   QuantizedTensor& out)>;

/// Whether codes and scales of a tensor are those of its rows, one behind the other.
bool rowsAreSeparate(const QuantizedTensor& tensor);

/// Rows [begin, end) of `out`, which holds rtn's codes and whose rows are separate; hessian.outputs is S of the range,
/// λ = damping · mean of its diagonal. Objectives are tr(S·ΔW·H·ΔWᵀ) with S at mean 1 of its diagonal; both are exact.
/// Equal bits for any thread count on one CPU if the coder's are.
Result<SweepResult> codeWithRowFeedback(const QuantizeTask& task, const Hessian& hessian, double damping,
                                        const RowCoder& code, std::int64_t begin, std::int64_t end,
                                        QuantizedTensor& out, const JobContext& context);

} // namespace ql
