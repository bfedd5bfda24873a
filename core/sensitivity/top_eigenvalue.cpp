// SPDX-License-Identifier: GPL-3.0-or-later
// The text's share in a layer's curvature counts as much as the curvature: eigenvalues vary strongly between subsets.
#include "core/sensitivity/layer_figure.h"

namespace ql::metrics {

extern const Metric top_eigenvalue;
const Metric top_eigenvalue{
    .id = "top_eigenvalue",
    .title = "Top eigenvalue over subsets of the text",
    .unit = "nats per token and weight² · NMSE",
    .formula =
        "(|mean λ| + std λ) · NMSE, λ the eigenvalue of ∇²L of largest magnitude on a subset, std of the population",
    .source = "Shen et al., Q-BERT, AAAI 2020, section 3.1",
    .needs = MetricNeeds::eigenvalues,
    .ofLayer = layerFigure<FigureName{"eigenvalue_spread"}>,
    .isProxy = true,
};

} // namespace ql::metrics
