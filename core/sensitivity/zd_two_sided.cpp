// SPDX-License-Identifier: GPL-3.0-or-later
// Few and extreme weights make a layer important, so its importance is 1/ZD.
#include "core/sensitivity/deviation_share.h"

namespace ql::metrics {

extern const Metric zd_two_sided;
const Metric zd_two_sided{
    .id = "zd_two_sided",
    .title = "Share of weights beyond one standard deviation",
    .unit = "1/share · NMSE",
    .formula = "1/ZD · NMSE, ZD = #{k: |z_k| > 1} / n, z = (w − mean)/std",
    .source = "Dumitru et al., Layer-Wise Quantization, 2024 (arXiv 2406.17415), ZD, of both signs",
    .needs = MetricNeeds::nothing,
    .ofLayer = shareBeyondDeviation<true>,
    .importance = importanceOfShare,
    .isProxy = true,
};

} // namespace ql::metrics
