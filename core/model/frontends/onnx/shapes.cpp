// SPDX-License-Identifier: GPL-3.0-or-later
// Shapes: what has them, makes them and changes them.
#include "core/model/frontends/onnx/onnx_importer.h"
#include "core/model/frontends/onnx/onnx_operator.h"

namespace ql {

namespace {

using graph::Attributes;
using graph::ValueId;
using Integers = std::vector<std::int64_t>;

void importReshape(OnnxImporter& node)
{
    node.result(
        node.add("reshape", {node.input(0), node.input(1)}, {{"keep_zeros", node.node().integer("allowzero", 0)}}));
}

/// Squeeze and Unsqueeze: axes are an input, if they are not left out.
void importAxes(OnnxImporter& node, const char* how)
{
    node.result(node.add("reshape", {node.input(0), node.input(1)}, {{how, Integers()}}));
}

void importShape(OnnxImporter& node)
{
    Attributes attributes{{"start", node.node().integer("start", 0)}};
    if (node.node().find("end"))
        attributes["end"] = node.node().integer("end", 0);
    node.result(node.add("shape_of", {node.input(0)}, std::move(attributes)));
}

void importConstantOfShape(OnnxImporter& node)
{
    Attributes attributes{{"value", 0.0}};
    if (node.node().find("value")) {
        const auto value = node.node().element("value");
        if (!value)
            return node.refuse("has a value of a type that is not computed with");
        std::visit([&](auto number) { attributes["value"] = number; }, *value);
    }
    node.result(node.add("fill", {node.input(0)}, std::move(attributes)));
}

/// Each axis of n elements becomes one of 1 and one of n, the first repeats, and both are one again.
void importTile(OnnxImporter& node)
{
    const ValueId x = node.input(0);
    const ValueId repeats = node.input(1);
    const ValueId sizes = node.add("shape_of", {x});
    const ValueId ones = node.add("power", {sizes, node.constant(std::int64_t{0})});
    const auto column = [&](ValueId list) { return node.add("reshape", {list}, {{"unsqueeze", Integers{-1}}}); };
    const auto alternating = [&](ValueId first, ValueId second) {
        const ValueId pairs = node.add("concat", {column(first), column(second)}, {{"axis", std::int64_t{1}}});
        return node.add("reshape", {pairs}, {{"shape", Integers{-1}}});
    };
    const auto reshaped = [&](ValueId value, ValueId shape) {
        return node.add("reshape", {value, shape}, {{"keep_zeros", std::int64_t{1}}});
    };
    const ValueId repeated = node.add("expand", {reshaped(x, alternating(ones, sizes)), alternating(repeats, sizes)});
    node.result(reshaped(repeated, node.add("multiply", {sizes, repeats})));
}

constexpr OnnxOperator kOperators[] = {
    {"Reshape", importReshape},
    {"Flatten",
     [](OnnxImporter& node) {
         node.result(node.add("reshape", {node.input(0)}, {{"flatten", node.node().integer("axis", 1)}}));
     }},
    {"Squeeze", [](OnnxImporter& node) { importAxes(node, "squeeze"); }},
    {"Unsqueeze", [](OnnxImporter& node) { importAxes(node, "unsqueeze"); }},
    {"Expand", [](OnnxImporter& node) { node.result(node.add("expand", node.inputs())); }},
    {"Tile", importTile},
    {"Shape", importShape},
    {"ConstantOfShape", importConstantOfShape},
    {"Range",
     [](OnnxImporter& node) {
         node.result(node.add("range", {node.input(0), node.input(1), node.input(2)}));
     }},
};

} // namespace

namespace onnx_families {
extern const OnnxFamily shapes;
const OnnxFamily shapes{"Shapes", kOperators};
} // namespace onnx_families

} // namespace ql
