// SPDX-License-Identifier: GPL-3.0-or-later
// Bits for parts that lose c_i·4^(−R_i) at R_i bits a weight: the closed form
//   R_i = R̄ + ½·log2(c_i/n_i ÷ GM),  GM the geometric mean of c/n weighted by the sizes n,
// after which every weight loses the same. Parts that would get less than 0 bits get 0 and the rest is solved again
// (reverse water-filling); parts that lose nothing get 0. Over equal bits for all the loss falls by GM(c)/AM(c) ≤ 1 (of
// equal sizes), which says what mixing widths can gain at most.
// Source: Zhang et al., BAQ: Efficient Bit Allocation Quantization for LLMs, 2025, section 3; Cover and Thomas,
// Elements of Information Theory, section 10.3.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ql {

/// Bits of each part, Σ n_i·R_i = meanBits·Σ n_i. Losses and sizes are finite and not negative, meanBits ≥ 0; no sizes:
/// all 1. All losses 0: all parts get meanBits.
std::vector<double> waterFill(std::span<const double> losses, std::span<const double> sizes, double meanBits);

/// Whole bits 0…most of parts of one size, Σ R_i ≤ budget, with the least Σ c_i·4^(−R_i): one bit after the other where
/// it gains most (the losses are convex, so that is optimal), the first of equals.
std::vector<int> greedyBits(std::span<const double> losses, std::int64_t budget, int most);

/// Geometric over arithmetic mean, 1 where all are 0; a loss of 0 makes it 0.
double geometricOverArithmetic(std::span<const double> losses);

} // namespace ql
