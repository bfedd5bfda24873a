// SPDX-License-Identifier: GPL-3.0-or-later
// How often a graph over pictures multiplies by the weights of each layer: once for every place of a convolution's
// output, for every row of another layer's input.
#pragma once

#include "core/model/graph/graph.h"
#include "core/model/model.h"

namespace ql {

/// [1, channels, height, width] of the one picture that the graph takes, as config.json, preprocessor_config.json or
/// the ONNX file say it; nothing where they do not, or where the graph takes anything else.
std::optional<Shape> pictureShapeOf(const Model& model, const graph::Graph& graph);

/// [layers] for an input of that shape, found by running the graph once, on zeros; 0 for layers it does not use.
Result<std::vector<double>> outputPlaces(const Model& model, const graph::Graph& graph, const Shape& picture,
                                         const JobContext& context);

} // namespace ql
