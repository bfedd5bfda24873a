// SPDX-License-Identifier: GPL-3.0-or-later
// What a number of levels of its own for every column could gain: GPTQ twice. First with 2^R levels for all columns, in
// their own order, each row with the range of its weights, 0 included; column j loses
//   ℓ_j = ½·D_j·Σ_r (w_rj − ŵ_rj)²     (D_j = 1/U_jj² of core/quantizers/error_feedback.h)
// of what it should be when its turn comes. Then with
//   levels_j = max(1, rint(2^R·(ℓ_j/GM(ℓ))^(1/t))),
// t = 2 by theory, 1.95 as published; the step is the row's range ÷ (levels_j − 1), zero points follow from the row's
// lower end; one level: the column is 0. Nothing here is stored by a scheme: bits are counted both ways, log2 of the
// levels as an entropy coder would need them, and whole bits as codes are stored.
// Source: Zhang et al., BAQ, 2025, sections 3 and 4.
#pragma once

#include "core/calibration/activations.h"

#include <vector>

namespace ql {

struct ColumnPass {
    std::vector<double> losses; // ℓ_j
    double loss = 0;            // Σ ℓ_j
    double outputError = 0;     // tr(ΔW·H·ΔWᵀ) ÷ tr(W·H·Wᵀ), H = XᵀX
    double variation = 0;       // standard deviation over mean of ℓ_j
};

struct ColumnBits {
    ColumnPass uniform, allocated;
    double geometricOverArithmetic = 1; // of uniform.losses: how far the loss should fall
    std::vector<int> levels;
    double meanBits = 0;          // of log2(levels)
    double meanStoredBits = 0;    // of ⌈log2(levels)⌉
    double sideBitsPerWeight = 0; // 16 bits a column for its levels
};

struct ColumnBitsSettings {
    int bits = 3;           // R, 1…8
    double exponent = 1.95; // t
    double damping = 0.01;  // of the mean of the diagonal
};

/// W[out, in] with XᵀX of all of its rows. Weights that are not finite count as 0. Equal bits for any thread count on
/// one CPU. Errors: no XᵀX, other inputs than columns, no elements, settings out of bounds.
Result<ColumnBits> columnBits(const TensorView& weights, const ActivationStatistics& inputs,
                              const ColumnBitsSettings& settings, const JobContext& context);

/// The first of both sweeps alone, with equal levels; the same errors.
Result<ColumnPass> uniformColumnPass(const TensorView& weights, const ActivationStatistics& inputs,
                                     const ColumnBitsSettings& settings, const JobContext& context);

} // namespace ql
