// SPDX-License-Identifier: GPL-3.0-or-later
// Inputs that spread over many tokens tie layers to each other more closely than those of a few.
#include "core/sensitivity/layer_figure.h"

namespace ql::metrics {

extern const Metric entropy_l1;
const Metric entropy_l1{
    .id = "entropy_l1",
    .title = "Entropy of the inputs over tokens",
    .unit = "nats · NMSE",
    .formula = "−Σ a·ln a over tokens, a = |x| / Σ|x|, mean over channels · NMSE",
    .source = "Wang et al., Q-VLM, NeurIPS 2024",
    .needs = MetricNeeds::depth,
    .ofLayer = layerFigure<FigureName{"entropy_l1"}>,
    .isProxy = true,
};

} // namespace ql::metrics
