// SPDX-License-Identifier: GPL-3.0-or-later
// Measured couplings are small differences of noisy losses, and a solver picks those that look best: taken as they are
// they promise too much. Empirical Bayes: couplings c with standard errors s are taken for normal around true ones,
// those for normal around 0 with the variance
//   τ² = max(0, mean of c² − mean of s²)   over all that were measured, in (nats per token)²,
// and each becomes its posterior mean and deviation: c·τ²/(τ² + s²) and √(τ²·s²/(τ² + s²)).
// Sources: James & Stein, Estimation with quadratic loss, 4th Berkeley Symposium, 1961; Efron & Morris, Stein's
// estimation rule and its competitors, JASA 68, 1973 (unequal variances, positive part).
#pragma once

#include "core/plan/layer_losses.h"

namespace ql {

/// In their order; none where τ² is 0, as then nothing tells them from noise. Sums are compensated. Pure and
/// thread-safe; O(n).
std::vector<LayerCoupling> shrunk(std::vector<LayerCoupling> couplings);

} // namespace ql
