// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/output_places.h"

#include "core/base/checked.h"
#include "core/checkpoint/onnx_graph.h"
#include "core/model/evaluation/images.h"
#include "core/model/graph/convolution.h"
#include "core/model/graph/run.h"

#include <algorithm>

namespace ql {

namespace {

constexpr std::int64_t kMostElements = 1 << 28;

/// Of an input of an ONNX file; empty where it says none.
Shape statedShape(const Model& model, std::string_view input)
{
    const Checkpoint& checkpoint = *model.checkpoint;
    const auto parsed = parseOnnx(checkpoint.graph(), checkpoint.path().string());
    if (!parsed || !parsed->main)
        return {};
    const std::vector<std::string_view>& names = parsed->main->inputs;
    const auto found = std::ranges::find(names, input);
    return found == names.end() ? Shape{} : parsed->main->inputShapes[static_cast<std::size_t>(found - names.begin())];
}

Result<double> placesOf(const graph::Node& node, const Shape& weights, const graph::Array<float>& x)
{
    if (node.op->id == "conv") {
        QL_TRY(convolution, graph::Convolution::of(node, x.shape(), weights));
        return static_cast<double>(convolution.batch * convolution.places());
    }
    if (node.op->id == "conv_transpose" && x.shape().size() > 1 && x.shape()[1] > 0) // every input place meets all taps
        return static_cast<double>(x.numel() / x.shape()[1]);
    return static_cast<double>(x.rows());
}

std::optional<Shape> statedPicture(const Model& model, const graph::Graph& graph)
{
    if (graph.inputs.size() != 1)
        return std::nullopt;
    const std::string& name = graph.values[static_cast<std::size_t>(graph.inputs.front())].name;
    if (!model.checkpoint->graph().empty()) {
        Shape shape = statedShape(model, name);
        if (shape.size() != 4)
            return std::nullopt;
        shape.front() = 1;
        return shape;
    }
    if (name != "pixels")
        return std::nullopt;
    const auto settings = imageSettingsOf(model);
    if (!settings)
        return std::nullopt;
    const auto channels = static_cast<std::int64_t>(model.configNumber("num_channels").value_or(3));
    return Shape{1, channels, settings->height, settings->width};
}

} // namespace

std::optional<Shape> pictureShapeOf(const Model& model, const graph::Graph& graph)
{
    auto shape = statedPicture(model, graph);
    std::int64_t elements = 1;
    for (std::size_t d = 0; shape && d < shape->size(); ++d) {
        elements = (*shape)[d] > 0 ? mulChecked(elements, (*shape)[d]).value_or(0) : 0;
        if (elements < 1 || elements > kMostElements)
            return std::nullopt;
    }
    return shape;
}

Result<std::vector<double>> outputPlaces(const Model& model, const graph::Graph& graph, const Shape& picture,
                                         const JobContext& context)
{
    std::vector<double> places(model.layers.size(), 0.0);
    graph::ForwardOptions<float> options;
    options.layerInput = [&](const graph::Node& node, std::int64_t layer, graph::Array<float>& x) -> Result<void> {
        const auto index = static_cast<std::size_t>(layer);
        QL_TRY(its, placesOf(node, model.layers[index].shape, x));
        places[index] += its;
        return {};
    };
    graph::Values<float> values;
    values[graph.inputs.front()].real = graph::Array<float>::filled(picture, 0);
    const graph::CheckpointWeights source(model);
    for (const graph::Segment& segment : graph.segments) {
        QL_TRY(weights, graph::loadWeights<float>(graph, segment, source, context));
        QL_CHECK(graph::forward(graph, segment, weights, values, context, options));
    }
    return places;
}

} // namespace ql
