// SPDX-License-Identifier: GPL-3.0-or-later
// Normalizations and softmax. Statistics of training are not made.
#include "core/model/frontends/onnx/onnx_importer.h"
#include "core/model/frontends/onnx/onnx_operator.h"

namespace ql {

namespace {

using graph::kLeftOut;
using graph::ValueId;
using Integers = std::vector<std::int64_t>;

/// What runs over axes [axis, …) as rows of a matrix, and goes back to the shape of x.
template<typename Rows>
ValueId overRows(OnnxImporter& node, ValueId x, std::int64_t axis, const Rows& rows)
{
    const ValueId flat = node.add("reshape", {x}, {{"flatten", axis}});
    return node.add("reshape", {rows(flat), node.add("shape_of", {x})}, {{"keep_zeros", std::int64_t{1}}});
}

/// x·scale + bias, either of which may be left out.
ValueId scaled(OnnxImporter& node, ValueId x, ValueId scale, ValueId bias)
{
    if (scale != kLeftOut)
        x = node.add("multiply", {x, scale});
    return bias == kLeftOut ? x : node.add("add", {x, bias});
}

/// [before the axis, 1, …] of one number for each row that begins at the axis.
void rowResult(OnnxImporter& node, ValueId x, std::int64_t axis, ValueId rows, std::size_t output)
{
    const ValueId before = node.add("shape_of", {x}, {{"end", axis}});
    const ValueId behind = node.add("shape_of", {x}, {{"start", axis}});
    const ValueId ones = node.add("power", {behind, node.constant(std::int64_t{0})});
    const ValueId shape = node.add("concat", {before, ones}, {{"axis", std::int64_t{0}}});
    node.result(node.add("reshape", {rows, shape}), output);
}

/// Mean and 1/√(variance + epsilon), for nodes that name them.
void importMoments(OnnxImporter& node, ValueId x, std::int64_t axis, double epsilon)
{
    if (!node.makes(1) && !node.makes(2))
        return;
    const auto mean = [&](ValueId of) {
        return node.add("reduce", {of}, {{"kind", std::string("mean")}, {"axes", Integers{-1}}});
    };
    const ValueId rows = node.add("reshape", {x}, {{"flatten", axis}});
    const ValueId centre = mean(rows);
    const ValueId off = node.add("subtract", {rows, centre});
    const ValueId variance = node.add("scale", {mean(node.add("multiply", {off, off}))}, {{"offset", epsilon}});
    const ValueId deviation = node.add("unary", {variance}, {{"function", std::string("sqrt")}});
    rowResult(node, x, axis, centre, 1);
    rowResult(node, x, axis, node.add("unary", {deviation}, {{"function", std::string("reciprocal")}}), 2);
}

void importLayerNorm(OnnxImporter& node, const char* op)
{
    const double epsilon = node.node().number("epsilon", 1e-5);
    const std::int64_t axis = node.node().integer("axis", -1);
    const ValueId x = node.input(0);
    importMoments(node, x, axis, epsilon);
    if (axis == -1)
        return node.result(node.add(op, {x, node.input(1), node.input(2)}, {{"epsilon", epsilon}}));
    const ValueId normed = overRows(node, x, axis, [&](ValueId rows) {
        return node.add(op, {rows}, {{"epsilon", epsilon}});
    });
    node.result(scaled(node, normed, node.input(1), node.input(2)));
}

/// x[batch, channels, …] as [batch, groups, rest], each group normalized; 0 groups: every channel is one.
ValueId groupNorm(OnnxImporter& node, ValueId x, std::int64_t groups)
{
    const ValueId parts = node.add("reshape", {x}, {{"shape", Integers{0, groups, -1}}});
    return node.add("layer_norm", {parts}, {{"epsilon", node.node().number("epsilon", 1e-5)}});
}
/// y[batch, n, rest] with a scale and a bias for each of n, in the shape of x.
void scaleParts(OnnxImporter& node, ValueId x, ValueId y)
{
    const auto column = [&](std::size_t input) {
        return node.add("reshape", {node.input(input)}, {{"unsqueeze", Integers{-1}}});
    };
    y = scaled(node, y, column(1), column(2));
    node.result(node.add("reshape", {y, node.add("shape_of", {x})}, {{"keep_zeros", std::int64_t{1}}}));
}

void importInstanceNorm(OnnxImporter& node)
{
    scaleParts(node, node.input(0), groupNorm(node, node.input(0), 0));
}

void importGroupNorm(OnnxImporter& node)
{
    const ValueId x = node.input(0);
    ValueId y = groupNorm(node, x, node.node().integer("num_groups", 1));
    if (node.opset() >= 21) { // scale and bias are of channels, before they were of groups
        y = node.add("reshape", {y, node.add("shape_of", {x})}, {{"keep_zeros", std::int64_t{1}}});
        y = node.add("reshape", {y}, {{"shape", Integers{0, 0, -1}}});
    }
    scaleParts(node, x, y);
}

void importBatchNorm(OnnxImporter& node)
{
    if (node.node().integer("training_mode", 0) != 0 || node.makes(1))
        return node.refuse("is in training mode");
    node.result(node.add("batch_norm", node.inputs(), {{"epsilon", node.node().number("epsilon", 1e-5)}}));
}

/// x − max − ln Σ exp(x − max).
void importLogSoftmax(OnnxImporter& node)
{
    const Integers axes{node.node().integer("axis", -1)};
    const ValueId x = node.input(0);
    const ValueId most = node.add("reduce", {x}, {{"kind", std::string("max")}, {"axes", axes}});
    const ValueId below = node.add("subtract", {x, most});
    const ValueId powers = node.add("activation", {below}, {{"function", std::string("exp")}});
    const ValueId sum = node.add("reduce", {powers}, {{"kind", std::string("sum")}, {"axes", axes}});
    node.result(node.add("subtract", {below, node.add("unary", {sum}, {{"function", std::string("log")}})}));
}

constexpr OnnxOperator kOperators[] = {
    {"BatchNormalization", importBatchNorm},
    {"LayerNormalization", [](OnnxImporter& node) { importLayerNorm(node, "layer_norm"); }},
    {"RMSNormalization", [](OnnxImporter& node) { importLayerNorm(node, "rms_norm"); }},
    {"InstanceNormalization", importInstanceNorm},
    {"GroupNormalization", importGroupNorm},
    {"Softmax",
     [](OnnxImporter& node) {
         node.result(node.add("softmax", {node.input(0)}, {{"axis", node.node().integer("axis", -1)}}));
     }},
    {"LogSoftmax", importLogSoftmax},
};

} // namespace

namespace onnx_families {
extern const OnnxFamily norms;
const OnnxFamily norms{"Normalizations and softmax", kOperators};
} // namespace onnx_families

} // namespace ql
