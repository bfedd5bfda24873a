// SPDX-License-Identifier: GPL-3.0-or-later
// Inputs that spread over many tokens tie layers to each other more closely than those of a few.
#include "core/sensitivity/layer_figure.h"

namespace ql::metrics {

extern const Metric entropy_l2;
const Metric entropy_l2{
    .id = "entropy_l2",
    .title = "Entropy of the inputs over tokens, as released",
    .unit = "nats · NMSE",
    .formula = "−Σ a·ln a over tokens, a = |x| / √Σx², mean over channels · NMSE",
    .source = "Wang et al., Q-VLM, NeurIPS 2024, its code",
    .needs = MetricNeeds::depth,
    .ofLayer = layerFigure<FigureName{"entropy_l2"}>,
    .isProxy = true,
};

} // namespace ql::metrics
