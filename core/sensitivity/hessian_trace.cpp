// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/layer_figure.h"

namespace ql::metrics {

namespace {
Result<double> measureTrace(const MetricInput& input, const JobContext&)
{
    return input.ofLayer * input.error.sumSquaredError;
}
} // namespace

extern const Metric hessian_trace;
const Metric hessian_trace{
    .id = "hessian_trace",
    .title = "Mean curvature times squared weight error",
    .unit = "nats per token, without the ½",
    .formula = "tr(∇²L)/n · ‖ΔW‖², trace by Hutchinson",
    .source = "Dong et al., HAWQ-V2, NeurIPS 2020; Yao et al., HAWQ-V3, ICML 2021",
    .needs = MetricNeeds::curvature,
    .measure = measureTrace,
    .ofLayer = layerFigure<FigureName{"mean_curvature"}>,
    .isProxy = true,
};

} // namespace ql::metrics
