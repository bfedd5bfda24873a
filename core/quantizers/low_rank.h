// SPDX-License-Identifier: GPL-3.0-or-later
// Factors of what a quantized tensor leaves of its weights: W − Ŵ ≈ A·B, A = U·√Σ and B = √Σ·Vᵀ of its largest singular
// values, so that both have the range of a float16, to which they are rounded (LoRC: Yao et al., ZeroQuant-V2, 2023,
// section 5). `scaled`: of (W − Ŵ)·diag(s), s the rms of each input column but at least 10⁻⁴ of the largest, and
// B = √Σ·Vᵀ·diag(1/s) (LQER: Zhang et al., ICML 2024), which makes the error of the output small rather than that of W.
#pragma once

#include "core/formats/quantized_tensor.h"

#include <span>

namespace ql {

struct LowRankFactors {
    std::int64_t rank = 0;
    std::vector<float> left;  // A[rows, rank], each value that of a float16
    std::vector<float> right; // B[rank, cols]
    double before = 0;        // Σ s²·(w − ŵ)²
    double unrounded = 0;     // the same with U·Σ·Vᵀ·diag(1/s) added to ŵ
};

/// Weights that are not finite leave nothing. rms may be empty: s = 1. Needs 8 bytes a weight. Equal bits for any
/// thread count on one CPU.
Result<LowRankFactors> factorsOfRest(const TensorView& weights, const QuantizedTensor& quantized, std::int64_t rank,
                                     std::span<const double> rms, const JobContext& context);

/// Σ s²·(w − ŵ)² over finite weights, s as above.
Result<double> scaledSquares(const TensorView& weights, const QuantizedTensor& quantized, std::span<const double> rms,
                             const JobContext& context);

} // namespace ql
