// SPDX-License-Identifier: GPL-3.0-or-later
// Scales near rtn's that clip searches try: rtn's scale times 1 − 0.8·i/steps, i = 0…steps−1, rounded to the coding
// (codebooks of at most 2 bits or without a level 0, whose best scale may be far below: rtn's times 0.01^(i/steps);
// power-of-two scales: the exponents −1, 0, +1 around rtn's; ue4m3: rtn's code −8…+2; gguf:q4_0, q5_0: both signs,
// from max|w|/2^(b−1)).
#pragma once

#include "core/quantizers/scale_search.h"

namespace ql {

/// Those besides rtn's own.
Candidates scaleCandidates(const Scheme& scheme, std::int64_t steps);

/// Clips 1.2, 1.19 … 0.1 of the largest magnitude (of the range, with zero points or minima), 111 of them: a
/// real-valued exponent bias of minifloats (van Baalen et al., FP8 versus INT8, 2023; Chen et al., Low-Bitwidth
/// Floating Point Quantization for Diffusion Models, 2024). For scales in floating point that are a range over the
/// largest level.
Candidates clipCandidates(const Scheme& scheme);

} // namespace ql
