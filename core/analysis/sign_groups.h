// SPDX-License-Identifier: GPL-3.0-or-later
// How well the signs of vectors use their codes. A vector x of d numbers, d weights in sequence along a row, has the
// code Σ_i [x_i > 0]·2^i (what is 0 or no number is −1); split into G groups of d/G, each group's code is its slice of
// bits, so what is stored is the same for every G. Entropies in bits:
//   code usage     of the shares of codes that occur, by group, summed over groups: ≥ that of G = 1, equal if groups
//                  are independent
//   sample, batch  with chances p(c|x) ∝ exp(2·x·c/T) over c ∈ {−1, 1}^d, x in units of the rms of all: mean entropy of
//                  p(·|x), which factorises over the x_i: Σ_i h(σ(4·x_i/T)); and entropy of the mean of p(·|x) by
//                  group, summed. Batch less sample entropy is what training for use of the codebook makes large.
// Source: WeTok (group-wise lookup-free quantization), 2025.
#pragma once

#include "core/jobs/job_context.h"
#include "core/tensor/tensor_view.h"

#include <vector>

namespace ql {

struct SignGroups {
    int groups = 1;
    double usageBits = 0;
    double utilisation = 0; // codes that occur over codes there are, mean over groups
    double batchBits = 0;
};

struct SignUse {
    int dims = 0;
    std::int64_t vectors = 0;         // the rest of a row that is shorter than d is left out
    double sampleBits = 0;            // the same for every G
    std::vector<SignGroups> byGroups; // G = 1, 2, 4, … that divide d
};

/// d from 1 to 10, temperature > 0. Bits are equal for any thread count. Without vectors all is 0.
Result<SignUse> signUse(const TensorView& weights, int dims, double temperature, const JobContext& context);

/// Bits of a square of f·f pixels of 24 bits over the d bits of its code.
constexpr double signCompression(int f, int d)
{
    return 24.0 * f * f / d;
}

} // namespace ql
