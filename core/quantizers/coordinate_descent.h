// SPDX-License-Identifier: GPL-3.0-or-later
// Makes given codes and scales better under H: one after the other, each scale, zero point or minimum of a group and
// each code moves to where tr(ΔW·H·ΔWᵀ) is least with all others fixed. With P = ΔW·H, Δ = W − Ŵ and u the levels of a
// group's codes (0 elsewhere):
//   scale    s + uP/uHu, rounded to its coding      zero point  ±1, where that is less
//   minimum  m + 1P/1Hu1, likewise                  code        nearest to ŵ_j + P_j/H_jj
// Every step is taken only if it lowers the objective, so it never rises. Tiles of rows, each by itself; equal bits for
// any thread count on one CPU.
#pragma once

#include "core/quantizers/quantizer.h"

namespace ql {

enum class Moves { all, parameters };

/// `sweeps` times over rows [firstRow, lastRow) of `out`, codes of the task's weights under a scheme with scales; the
/// one scale of a whole tensor stays. gram[cols, cols] + damping·I is H. Returns by how much tr(ΔW·gram·ΔWᵀ) fell; with
/// damping it may rise a little.
Result<double> descend(const QuantizeTask& task, const double* gram, double damping, int sweeps, Moves moves,
                       std::int64_t firstRow, std::int64_t lastRow, QuantizedTensor& out, const JobContext& context);

} // namespace ql
