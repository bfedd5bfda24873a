// SPDX-License-Identifier: GPL-3.0-or-later
// Comparisons, flags (integers 0 and 1), choices, kinds of numbers.
#include "core/model/frontends/onnx/onnx_importer.h"
#include "core/model/frontends/onnx/onnx_operator.h"

namespace ql {

namespace {

using graph::ValueId;

ValueId compare(OnnxImporter& node, const char* relation, ValueId a, ValueId b)
{
    return node.add("compare", {a, b}, {{"relation", std::string(relation)}});
}
ValueId isZero(OnnxImporter& node, ValueId x)
{
    return compare(node, "equal", x, node.constant(std::int64_t{0}));
}

void importCast(OnnxImporter& node)
{
    const std::int64_t to = node.node().integer("to", 0);
    const auto dtype = to > 0 && to < 1000 ? onnxDtype(static_cast<int>(to)) : std::nullopt;
    if (!dtype || !(info(*dtype).isInteger || (info(*dtype).isFloat && info(*dtype).blockBytes > 1)))
        return node.refuse("makes numbers of type " + std::to_string(to) + ", which are not computed with");
    if (info(*dtype).isFloat)
        if (const OnnxTensor* stored = node.storedInput())
            if (const auto from = onnxDtype(stored->type); from && info(*from).isFloat)
                return node.pass();
    const char* kind = info(*dtype).isFloat ? "real" : *dtype == Dtype::boolean ? "flags" : "integers";
    node.result(node.add("cast", {node.input(0)}, {{"to", std::string(kind)}}));
}

#define QL_COMPARISON(id, relation)                                                                                    \
    {                                                                                                                  \
        id, [](OnnxImporter& node) { node.result(compare(node, relation, node.input(0), node.input(1))); }             \
    }
constexpr OnnxOperator kOperators[] = {
    QL_COMPARISON("Equal", "equal"),
    QL_COMPARISON("Less", "less"),
    QL_COMPARISON("LessOrEqual", "less_or_equal"),
    QL_COMPARISON("Greater", "greater"),
    QL_COMPARISON("GreaterOrEqual", "greater_or_equal"),
    {"And", [](OnnxImporter& node) { node.result(node.add("multiply", node.inputs())); }},
    {"Or", [](OnnxImporter& node) { node.result(node.add("maximum", node.inputs())); }},
    {"Xor",
     [](OnnxImporter& node) { node.result(isZero(node, compare(node, "equal", node.input(0), node.input(1)))); }},
    {"Not", [](OnnxImporter& node) { node.result(isZero(node, node.input(0))); }},
    {"IsNaN",
     [](OnnxImporter& node) { node.result(isZero(node, compare(node, "equal", node.input(0), node.input(0)))); }},
    {"Where",
     [](OnnxImporter& node) {
         node.result(node.add("where", {node.input(0), node.input(1), node.input(2)}));
     }},
    {"Cast", importCast},
};

} // namespace

namespace onnx_families {
extern const OnnxFamily logic;
const OnnxFamily logic{"Comparisons, flags and kinds of numbers", kOperators};
} // namespace onnx_families

} // namespace ql
