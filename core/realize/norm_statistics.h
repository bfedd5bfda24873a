// SPDX-License-Identifier: GPL-3.0-or-later
// Repair of norms from statistics: a plan runs beside the model, norm after norm, and each norm's output ŷ in the plan
// gets, channel by channel, the scale a and, where the norm has a bias, the shift d that bring it closest to the
// model's own output y on the same inputs; the plan goes on behind it with a·ŷ + d. Stored is
//   gain' = a·(offset + gain) − offset,   bias' = a·bias + d.
// Matched are either
//   moments: without a bias a = √(E[y²] / E[ŷ²]); with one a = σ(y)/σ(ŷ), d = μ(y) − a·μ(ŷ). For BatchNorm this is
//            re-estimating its mean and variance on what the quantized layers make, referred to the model's own;
//   least squares: E[(y − a·ŷ − d)²] is least: a = E[y·ŷ] / E[ŷ²]; with a bias cov(y, ŷ)/var(ŷ) and d as above.
// Sources: Hubara et al., Accurate Post Training Quantization With Small Calibration Sets (CalibTIP), ICML 2021,
// section 3.4 (re-estimated statistics of BatchNorm); Li et al., Norm Tweaking, AAAI 2024 (matching the outputs of
// LayerNorm). Memory: the values between two norms of the cases that run together, twice. Equal bits for any thread
// count on one CPU.
#pragma once

#include "core/model/evaluation/cases.h"
#include "core/realize/norms.h"

namespace ql {

enum class NormMatch { moments, leastSquares };

struct NormStatisticsTask {
    const Model& model; // of the graph
    const graph::Graph& graph;
    const Cases& cases;
    ModelVersion own; // the model's
    ModelVersion planned;
    NormMatch match = NormMatch::moments;
};

/// Units of progress, which repairByStatistics() announces: cases times pieces of the graph.
Result<std::vector<RepairedTensor>> repairByStatistics(const NormStatisticsTask& task, std::span<const Norm> norms,
                                                       const JobContext& context);

} // namespace ql
