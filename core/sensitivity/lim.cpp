// SPDX-License-Identifier: GPL-3.0-or-later
// Blocks that turn hidden states further matter more; all layers of a block alike. The published order is by LIM; its
// importance here is 1 + LIM, the cosine distance, which keeps that order and is not negative.
#include "core/sensitivity/layer_figure.h"

namespace ql::metrics {

namespace {
double distance(double lim)
{
    return lim < -1 ? 0 : 1 + lim; // rounding; not known stays so
}
} // namespace

extern const Metric lim;
const Metric lim{
    .id = "lim",
    .title = "How far the block turns hidden states",
    .unit = "(1 + LIM) · NMSE",
    .formula = "(1 + LIM) · NMSE, LIM = −mean over tokens of cos(h, h′) of what enters and leaves the block",
    .source = "Dumitru et al., Layer-Wise Quantization, 2024 (arXiv 2406.17415)",
    .needs = MetricNeeds::depth,
    .ofLayer = layerFigure<FigureName{"lim"}>,
    .importance = distance,
    .isProxy = true,
};

} // namespace ql::metrics
