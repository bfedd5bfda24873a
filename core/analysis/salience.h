// SPDX-License-Identifier: GPL-3.0-or-later
// How much the output would suffer if a weight were coded alone, the columns behind it making good what they can:
// δ_rj = w_rj²·D_j, D_j = 1/U_jj², (XᵀX + λI)⁻¹ = UᵀU, columns in their own order. Its sums over groups of columns say
// which groups deserve bits, its largest elements which weights to keep.
// Source: Huang et al., SliM-LLM, 2024, section 3.2 (the released code's Cholesky diagonal; the paper writes [H⁻¹]_jj).
#pragma once

#include "core/calibration/activations.h"

#include <vector>

namespace ql {

constexpr double kSalienceDamping = 0.01; // λ, of the mean of the diagonal

/// D_j of inputs whose XᵀX is known.
Result<std::vector<double>> eliminationCosts(const ActivationStatistics& inputs, const JobContext& context);

struct Salience {
    std::vector<double> channels; // Σ over rows, of each input channel
    std::vector<double> groups;   // Σ over rows and groupSize channels; the last group may be shorter
    std::vector<double> rows;     // Σ over channels, of each output
    double total = 0;
};

/// Of W[out, in] all of whose rows see the same inputs. Weights that are not finite count as 0. Sums in double,
/// compensated; equal bits for any thread count on one CPU. Errors: XᵀX is not known, other inputs than columns, a
/// group size below 1.
Result<Salience> computeSalience(const TensorView& weights, const ActivationStatistics& inputs, std::int64_t groupSize,
                                 const JobContext& context);

} // namespace ql
