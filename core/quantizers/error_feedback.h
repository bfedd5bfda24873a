// SPDX-License-Identifier: GPL-3.0-or-later
// What coding one column of W changes for the others. With the columns in the order of processing and damping λ,
//   H = XᵀX + λI = (I + F)·D·(I + F)ᵀ,   F strictly upper triangular, D diagonal,
// so that tr(ΔW·H·ΔWᵀ) = Σ_j D_j Σ_r (Δ_rj + Σ_{k<j} Δ_rk·F_kj)², Δ = W − Ŵ: column j is coded nearest to
// w_j + Σ_{k<j} Δ_k·F_kj. These are the codes of GPTQ's elimination, there with the upper Cholesky factor U of H⁻¹,
// D_j = 1/U_jj², but without inverting H: n³/3 multiply-adds to factor instead of 4n³/3.
// Sources: Frantar et al., GPTQ, ICLR 2023, section 3; Chee et al., QuIP, NeurIPS 2023, theorem 6 (the two are equal).
#pragma once

#include "core/jobs/job_context.h"
#include "core/tensor/tensor_view.h"

#include <span>
#include <vector>

namespace ql {

struct ErrorFeedback {
    std::vector<std::int64_t> order; // the column that is processed j-th
    std::vector<double> cost;        // D_j, in the order of processing
    Buffer factor;                   // F as float [n, n], row-major, in the order of processing
    double damping = 0;              // λ
};

/// Factors gram[n, n] (symmetric) + λI, λ = damping · mean of the diagonal; ten times more, up to four times, where the
/// sum is not positive definite. Equal bits for any thread count on one CPU.
Result<ErrorFeedback> makeErrorFeedback(const double* gram, std::vector<std::int64_t> order, double damping,
                                        const JobContext& context);

/// The columns in the order of a falling diagonal; `groupSize` > 0: groups of so many neighbours stay together, the
/// groups in the order of their falling sums, and likewise in each the cells of `cellSize` neighbours, whose columns
/// keep their order.
std::vector<std::int64_t> fallingOrder(std::span<const double> diagonal, std::int64_t groupSize,
                                       std::int64_t cellSize = 1);

} // namespace ql
