// SPDX-License-Identifier: GPL-3.0-or-later
// Pooling and resizing.
#include "core/model/frontends/onnx/onnx_importer.h"
#include "core/model/frontends/onnx/onnx_operator.h"
#include "core/model/frontends/onnx/onnx_window.h"

namespace ql {

namespace {

using graph::Attributes;
using Integers = std::vector<std::int64_t>;

void importPool(OnnxImporter& node, const char* kind)
{
    Attributes attributes{{"kind", std::string(kind)}};
    if (!takeWindow(node, attributes))
        return;
    if (node.makes(1))
        return node.refuse("makes the places of what it chose, which are not kept");
    attributes["kernel"] = node.node().integers("kernel_shape").value_or(Integers());
    attributes["ceil"] = node.node().integer("ceil_mode", 0);
    attributes["count_pads"] = node.node().integer("count_include_pad", 0);
    node.result(node.add("pool", {node.input(0)}, std::move(attributes)));
}

void importGlobalPool(OnnxImporter& node, const char* kind)
{
    node.result(node.add("pool", {node.input(0)}, {{"kind", std::string(kind)}}));
}

void importResize(OnnxImporter& node)
{
    const OnnxNode& onnx = node.node();
    const std::string mode(onnx.text("mode", "nearest"));
    const std::string coordinates(onnx.text("coordinate_transformation_mode", "half_pixel"));
    if (mode != "nearest" && mode != "linear")
        return node.refuse("resizes by '" + mode + "', where nearest and linear are known");
    for (const char* odd : {"tf_crop_and_resize", "half_pixel_symmetric"})
        if (coordinates == odd)
            return node.refuse("has coordinates of the kind '" + coordinates + "'");
    if (onnx.integer("antialias", 0) != 0 || onnx.find("axes") ||
        onnx.text("keep_aspect_ratio_policy", "stretch") != "stretch")
        return node.refuse("resizes with antialias, axes or keep_aspect_ratio_policy, which are not known");
    node.result(node.add("resize", {node.input(0), node.input(3), node.input(2)},
                         {{"kind", mode},
                          {"coordinates", coordinates},
                          {"rounding", std::string(onnx.text("nearest_mode", "round_prefer_floor"))}}));
}

constexpr OnnxOperator kOperators[] = {
    {"MaxPool", [](OnnxImporter& node) { importPool(node, "max"); }},
    {"AveragePool", [](OnnxImporter& node) { importPool(node, "average"); }},
    {"GlobalMaxPool", [](OnnxImporter& node) { importGlobalPool(node, "max"); }},
    {"GlobalAveragePool", [](OnnxImporter& node) { importGlobalPool(node, "average"); }},
    {"Resize", importResize},
};

} // namespace

namespace onnx_families {
extern const OnnxFamily pooling;
const OnnxFamily pooling{"Pooling and resizing", kOperators};
} // namespace onnx_families

} // namespace ql
