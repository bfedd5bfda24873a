// SPDX-License-Identifier: GPL-3.0-or-later
// Learned rounding on any grid whose elements are coded one by one: scales stay, and each weight goes to one of its two
// neighbours on the grid, ŵ = ⌊w⌋ + h·(⌈w⌉ − ⌊w⌋) with
//   h(V) = clamp(σ(V)·(ζ − γ) + γ, 0, 1),  ζ = 1.1, γ = −0.1,  V at first such that ŵ = w,
// minimising per row r, by Adam over V,
//   Δ_r·H·Δ_rᵀ ÷ u_r + λ·Σ_j (1 − |2h_j − 1|^β),   u_r = mean over j of H_jj·(⌈w⌉ − ⌊w⌋)²,
// without the second sum for the first fifth of the iterations, then with β falling from 20 to 2 by a cosine. Then h is
// rounded. u_r makes λ mean the same for every layer. Weights beyond the ends of the grid go to its ends. A row that
// nearest rounding does better for keeps that.
// Sources: Nagel et al., Up or Down? Adaptive Rounding for Post-Training Quantization, ICML 2020, section 3.2; on
// minifloats: Chen et al., Low-Bitwidth Floating Point Quantization for Diffusion Models, 2024, section 3.
#pragma once

#include "core/quantizers/gradient_tile.h"

namespace ql {

struct RoundingSettings {
    std::int64_t iterations = 300;
    double rate = 0.1; // of Adam, in V
    double lambda = 2; // of the regularisation
};

struct LearnedRounding {
    SweepResult objectives;
    std::int64_t count = 0;  // of weights between two different neighbours
    std::int64_t binary = 0; // of those: whose h ended within 1e-3 of 0 or 1
};

/// Codes rows [firstRow, lastRow) of layer.out, with the scales of `start` if there is one (learnTiles).
Result<LearnedRounding> learnRounding(const LayerUnderH& layer, const RoundingSettings& settings,
                                      const QuantizedTensor* start, std::int64_t firstRow, std::int64_t lastRow,
                                      const JobContext& context);

} // namespace ql
