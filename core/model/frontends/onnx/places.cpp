// SPDX-License-Identifier: GPL-3.0-or-later
// Elements at other places.
#include "core/checkpoint/onnx_uses.h"
#include "core/model/frontends/onnx/onnx_importer.h"
#include "core/model/frontends/onnx/onnx_operator.h"

namespace ql {

namespace {

using graph::Attributes;

void importTranspose(OnnxImporter& node)
{
    if (const OnnxTensor* stored = node.storedInput(); stored && swapsLastTwo(node.node(), stored->shape.size()))
        return node.pass(true);
    Attributes attributes;
    if (auto axes = node.node().integers("perm"))
        attributes["axes"] = *std::move(axes);
    node.result(node.add("transpose", {node.input(0)}, std::move(attributes)));
}

void importSplit(OnnxImporter& node)
{
    const auto parts = std::ssize(node.node().outputs);
    const std::int64_t axis = node.node().integer("axis", 0);
    for (std::int64_t part = 0; part < parts; ++part)
        node.result(
            node.add("slice", {node.input(0), node.input(1)}, {{"axis", axis}, {"parts", parts}, {"part", part}}),
            static_cast<std::size_t>(part));
}

void importPad(OnnxImporter& node)
{
    const std::string mode(node.node().text("mode", "constant"));
    if (mode != "constant")
        return node.refuse("pads by '" + mode + "', where constant is known");
    node.result(node.add("pad", node.inputs()));
}

constexpr OnnxOperator kOperators[] = {
    {"Transpose", importTranspose},
    {"Concat",
     [](OnnxImporter& node) {
         node.result(node.add("concat", node.inputs(), {{"axis", node.node().integer("axis", 0)}}));
     }},
    {"Split", importSplit},
    {"Slice", [](OnnxImporter& node) { node.result(node.add("slice", node.inputs())); }},
    {"Gather",
     [](OnnxImporter& node) {
         node.result(node.add("gather", {node.input(0), node.input(1)}, {{"axis", node.node().integer("axis", 0)}}));
     }},
    {"GatherND",
     [](OnnxImporter& node) {
         node.result(
             node.add("gather_nd", {node.input(0), node.input(1)}, {{"batch", node.node().integer("batch_dims", 0)}}));
     }},
    {"Pad", importPad},
    {"Trilu",
     [](OnnxImporter& node) {
         node.result(
             node.add("triangle", {node.input(0), node.input(1)}, {{"upper", node.node().integer("upper", 1)}}));
     }},
};

} // namespace

namespace onnx_families {
extern const OnnxFamily places;
const OnnxFamily places{"Elements at other places", kOperators};
} // namespace onnx_families

} // namespace ql
