// SPDX-License-Identifier: GPL-3.0-or-later
// Codes, scales and zero points learned by gradients that pass straight through rounding. Each weight has a continuous
// twin v that is coded nearest, and each row of a group a range [lo, hi], symmetric: [−hi, hi], that its scale and
// zero point (or minimum) come from, rounded as they are stored; Δ_r·H·Δ_rᵀ goes down by Adam over both:
//   ∂ŵ/∂v = 1 inside of the range, 0 beyond it
//   symmetric     scale ∝ hi:  ∂ŵ/∂scale = (ŵ − v)/scale inside, ŵ/scale beyond
//   zero point    scale = (hi − lo)/(2^b − 1), zero = rint(low − lo/scale): ∂ŵ/∂hi = −∂ŵ/∂lo = (ŵ − v)/(hi − lo)
//                 inside; beyond the upper end ∂ŵ/∂hi = 1, beyond the lower ∂ŵ/∂lo = 1
//   minimum       likewise with minimum = lo
// Inside is what lies at most half a step beyond the outer levels. Ranges are learned themselves, as shares of what
// they were, or as clipping: hi·σ(u), lo·σ(u') with u at first 4. Steps fall linearly to 0. Each row keeps the best
// codes that it had on the way, those it started from included, so that no row gets worse. Packed schemes and those
// with one scale keep the scales that they start with. Sources: Hubara et al., Accurate Post Training Quantization with
// Small Calibration Sets (AdaQuant), ICML 2021, section 3.1; Shao et al., OmniQuant, ICLR 2024, section 3.2; Bhalgat et
// al., LSQ+, 2020 (gradients of scale and offset).
#pragma once

#include "core/quantizers/gradient_tile.h"

namespace ql {

enum class RangeLearning { fixed, free, clipping };

/// Whose gradients Adam divides a weight's by the size of: its own, as published; or all of its row, each ÷ H_jj
/// before, which keeps their proportions (Zhang et al., Adam-mini, ICLR 2025) and lets codes that are nearly right
/// stay; β₂ is 0.99 then.
enum class MomentOf { weight, row };

struct StraightThroughSettings {
    std::int64_t iterations = 100;
    double weightRate = 0; // steps of the grid that v moves an iteration, about; 0: it stays W
    MomentOf moment = MomentOf::row;
    RangeLearning ranges = RangeLearning::free;
    double rangeRate = 0; // likewise, as a share of the range at first, or of u
};

/// Codes rows [firstRow, lastRow) of layer.out, which holds rtn's codes, from `start` on if there is one (learnTiles).
/// fromCodes: v starts at what is restored instead of at W.
Result<SweepResult> learnStraightThrough(const LayerUnderH& layer, const StraightThroughSettings& settings,
                                         const QuantizedTensor* start, bool fromCodes, std::int64_t firstRow,
                                         std::int64_t lastRow, const JobContext& context);

} // namespace ql
